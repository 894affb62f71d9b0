import { type Digest, digestKey } from '@tsbuild/digest'
import { membersOf, textOf } from './key-value.ts'
import type { Side } from './types.ts'

/** What a step's name says: `[build 2/4] RUN make`. */
export interface StepPlace {
  /** Empty in a file with one stage that has no name. */
  readonly stage: string
  readonly number: number
  /** The instruction as written. */
  readonly text: string
}

/** Reads the name of a step; undefined for what has another form. */
export function placeOf(name: string): StepPlace | undefined {
  const [, stage = '', number, text] = /^\[(?:(.*) )?(\d{1,7})\/\d{1,7}\] (.*)$/s.exec(name) ?? []
  return number === undefined || text === undefined ? undefined : { stage, number: Number(number), text }
}

/** How an instruction begins: `RUN`. */
export function instructionOf(text: string): string {
  return /^[A-Za-z]+/.exec(text)?.[0].toUpperCase() ?? ''
}

/** Whose Dockerfile a step is of, as its op said. */
function buildOf(about: Side['about']): string {
  return textOf(membersOf(about).build) ?? ''
}

/*
 * What the records of a step are found by, from near to far:
 *
 *   text   tsbuild.step-text.v1   {"build","stage","text"}            the same line of the same Dockerfile
 *   place  tsbuild.step-place.v1  {"build","instruction","number","stage"}   what stood in its place
 *   other  tsbuild.step-other.v1  {"stage","text"}                    the same line, in whatever folder: a checkout elsewhere
 */

/** The same line of the same Dockerfile. */
export function textIdentity({ about }: Pick<Side, 'about'>, { stage, text }: StepPlace): Digest {
  return digestKey('tsbuild.step-text.v1', { build: buildOf(about), stage, text })
}

/** What stood at a place of the same Dockerfile. */
export function placeIdentity({ about }: Pick<Side, 'about'>, place: StepPlace): Digest {
  const { stage, number, text } = place
  const instruction = instructionOf(text)
  return digestKey('tsbuild.step-place.v1', { build: buildOf(about), instruction, number, stage })
}

/** The same line of any Dockerfile. */
export function otherIdentity({ stage, text }: StepPlace): Digest {
  return digestKey('tsbuild.step-other.v1', { stage, text })
}

/** Everything that a record is found by. */
export function identitiesOf(record: Pick<Side, 'name' | 'about'>): readonly Digest[] {
  const place = placeOf(record.name)
  if (place === undefined) return []
  return [textIdentity(record, place), placeIdentity(record, place), otherIdentity(place)]
}
