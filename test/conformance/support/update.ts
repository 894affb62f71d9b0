import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, readCase } from './case.ts'
import { checkCase } from './check-case.ts'
import { parseWant } from './want.ts'
import type { SharedWorkshop } from './workshop.ts'

/** A want of each kind that holds for nothing yet. */
const empty = {
  instructions: { kind: 'instructions', instructions: [] },
  image: { kind: 'image', tree: {} },
  error: { kind: 'error', code: '', line: null, message: '\0' },
} as const

/**
 * The cases whose want.json is to be written, each with the kind to write; undefined: that of the want.json that is there.
 *
 * @param variable `CONFORMANCE_UPDATE`: `case,new-case=image`
 */
export function casesToUpdate(variable: string | undefined): ReadonlyMap<string, string | undefined> {
  const names = (variable ?? '').split(',').filter((name) => name !== '')
  return new Map(names.map((name) => [name.replace(/=.*/, ''), name.split('=')[1]]))
}

/** Writes what is found now as the want.json of a case. It is a draft: what stands there is to be thought through. */
export async function updateCase(
  folder: string,
  kind: string | undefined,
  shared: SharedWorkshop,
): Promise<Case> {
  const path = join(folder, 'want.json')
  const write = (want: unknown) => writeFileSync(path, `${JSON.stringify(want, null, 2)}\n`)
  if (kind !== undefined || !existsSync(path)) {
    const draft = Object.entries(empty).find(([name]) => name === kind)?.[1]
    if (draft === undefined)
      throw new Error(`${folder}: say the kind, as in name=image; one of ${Object.keys(empty).join(', ')}`)
    write(draft)
  }
  const { found } = await checkCase(readCase(folder), shared)
  write(found)
  parseWant(found, path)
  return readCase(folder)
}
