import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../../support/repository.ts'
import { listOf, objectOf, type Parse, text, word } from '../support/parse.ts'

/** Where the known differences are written down; docs/dev/compatibility.md shows them. */
export const knownFile = 'test/conformance/peers/known-differences.json'

/** A difference that stays, and why. */
export interface Known {
  readonly peer: 'buildah' | 'docker'
  readonly reason: string
  /** A regular expression for the whole line of the difference. */
  readonly difference: string
  /** The cases that it occurs in, each of them; `["*"]`: any, and at least one. */
  readonly cases: readonly string[]
}

const parseKnown: Parse<readonly Known[]> = listOf(
  objectOf({ peer: word('buildah', 'docker'), reason: text, difference: text, cases: listOf(text) }),
)

/** Reads the list. @throws {Error} for an unknown key or an entry without a reason */
export function readKnown(): readonly Known[] {
  const known = parseKnown(JSON.parse(readFileSync(join(repository, knownFile), 'utf8')), knownFile)
  const unexplained = known.filter(({ reason, cases }) => reason.trim() === '' || cases.length === 0)
  if (unexplained.length > 0)
    throw new Error(`${knownFile}: no reason or no case for ${JSON.stringify(unexplained[0])}`)
  return known
}

/** What a run found, by peer and case. */
export interface Found {
  readonly peer: Known['peer']
  readonly name: string
  readonly differences: readonly string[]
}

/** What is wrong with the list after a run: one line for each difference that it lacks and each entry that is not true any more. */
export function checkKnown(
  known: readonly Known[],
  found: readonly Found[],
  isWholeRun: boolean,
): readonly string[] {
  const seen = new Set<string>()
  const mark = (entry: Known, name: string) => seen.add(`${known.indexOf(entry)} ${name}`)
  const unlisted = found.flatMap(({ peer, name, differences }) =>
    differences.flatMap((difference) => {
      const entries = known.filter((entry) => entry.peer === peer && applies(entry, name, difference))
      for (const entry of entries) mark(entry, entry.cases.includes('*') ? '*' : name)
      return entries.length > 0 ? [] : [`not listed: ${peer} ${name} ${difference}`]
    }),
  )
  const gone = known.flatMap((entry) =>
    entry.cases
      .filter(
        (name) => wasRun(entry, name, found, isWholeRun) && !seen.has(`${known.indexOf(entry)} ${name}`),
      )
      .map((name) => `listed, but gone: ${entry.peer} ${name} ${entry.difference}`),
  )
  return [...unlisted, ...gone]
}

function applies(entry: Known, name: string, difference: string): boolean {
  if (!entry.cases.includes('*') && !entry.cases.includes(name)) return false
  return new RegExp(`^(?:${entry.difference})$`, 's').test(difference)
}

function wasRun(entry: Known, name: string, found: readonly Found[], isWholeRun: boolean): boolean {
  if (name === '*') return isWholeRun
  // A case that is no more is gone as well.
  return isWholeRun || found.some((one) => one.peer === entry.peer && one.name === name)
}
