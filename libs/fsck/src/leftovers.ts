import { lstatSync } from 'node:fs'
import { join, relative } from 'node:path'
import { isSessionAlive, isSnapshotId, type Layout } from '@tsbuild/store'
import { type Check, type Found, foreign } from './found.ts'
import { entriesOf } from './look.ts'
import { removeUnlessUsed } from './mend.ts'
import type { Scan } from './scan.ts'

/** What dead processes left: the next command that opens the store sweeps it away. */
export async function* checkSessions({ layout }: Scan): Check {
  for (const { name } of entriesOf(layout.ingest)) {
    const path = join(layout.ingest, name)
    if (!isSnapshotId(name)) yield foreign(path)
    else if (!isAlive(layout, name)) yield* leftover(layout, path, 'the process that made it has ended')
  }
}

/** Whether a living process has a mark of this name. */
export function underWay(layout: Layout, mark: string): boolean {
  return entriesOf(layout.ingest).some(
    ({ name }) =>
      lstatSync(join(layout.ingest, name, mark), { throwIfNoEntry: false }) !== undefined &&
      isAlive(layout, name),
  )
}

/** Something that takes space and that nobody will ask for. */
export async function* leftover(layout: Layout, path: string, problem: string): Check {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  const [kind, id] = path.startsWith(layout.ingest)
    ? (['session', relative(layout.ingest, path)] as const)
    : (['leftover', relative(layout.v1, path)] as const)
  const mend = removeUnlessUsed(kind, id, stats)
  yield { ...facts, path, problem, mend }
}

const facts = {
  kind: 'leftover',
  severity: 'notice',
  repair: 'is removed',
  loses: 'nothing',
} as const satisfies Partial<Found>

function isAlive(layout: Layout, session: string): boolean {
  return isSessionAlive(layout, session)
}
