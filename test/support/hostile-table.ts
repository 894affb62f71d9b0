import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { UserName } from './builder-user.ts'
import type { Canaries } from './canaries.ts'
import type { Hostile, Oracle } from './leak-oracle.ts'
import { makeTar, type TarEntry } from './tar.ts'

/** A hostile input and its name; what it aims at is known only when the canaries are planted. */
export type HostileRow = readonly [
  name: string,
  make: (canaries: Canaries, user: UserName) => Hostile | readonly Hostile[],
]

/** Declares a test for each row, of which the oracle must find nothing wrong. */
export function judgeRows(oracle: () => Oracle, rows: readonly HostileRow[]): void {
  it.each(rows)('%s', async (_name, make) => {
    const { canaries, user, judge } = oracle()
    const made = make(canaries, user.name)
    for (const hostile of Array.isArray(made) ? (made as readonly Hostile[]) : [made as Hostile])
      expect(await judge(hostile), JSON.stringify(hostile.dockerfile ?? hostile.command)).toEqual([])
  })
}

/** A build on `busybox:test` whose second and later lines are these. */
export function onBusybox(...lines: readonly string[]): Pick<Hostile, 'dockerfile'> {
  return { dockerfile: ['FROM busybox:test', ...lines] }
}

/** A build on `busybox:test` with these files over it; the lines follow as the third and later ones. */
export function onImageWith(
  entries: readonly TarEntry[],
  ...lines: readonly string[]
): Pick<Hostile, 'dockerfile' | 'prepare'> {
  return {
    dockerfile: ['FROM busybox:test', 'ADD evil.tar /', ...lines],
    prepare: (context) => writeFileSync(join(context, 'evil.tar'), makeTar(entries)),
  }
}
