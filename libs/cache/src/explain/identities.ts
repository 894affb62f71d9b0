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

/** Reads the name of a step. One that is no instruction of its own has the number 0: `[build] mount /src`. */
export function placeOf(name: string): StepPlace {
  const [, stage = '', number, text] = /^\[(?:(.*) )?(\d{1,7})\/\d{1,7}\] (.*)$/s.exec(name) ?? []
  if (number !== undefined && text !== undefined) return { stage, number: Number(number), text }
  const [, of = '', rest = name] = /^\[([^\]]*)\] (.*)$/s.exec(name) ?? []
  return { stage: of, number: 0, text: rest }
}

/** How an instruction begins: `RUN`. */
function instructionOf(text: string): string {
  return /^[A-Za-z]+/.exec(text)?.[0].toUpperCase() ?? ''
}

/*
 * What the records of a step are found by, from near to far. A build is its context and its Dockerfile; a folder is the last name
 * of the context, which a checkout elsewhere has too.
 *
 *   tsbuild.step-text.v1       {"build","stage","text"}                       the same line of the same Dockerfile
 *   tsbuild.step-place.v1      {"build","instruction","number","stage"}       what stood in its place
 *   tsbuild.step-text.v1       {"stage","text"}                               the same line, wherever it is
 *   tsbuild.step-place.v1      {"folder","instruction","number","stage"}      what stood in its place, in a folder of this name
 */

/** Everything that a step is found by, from near to far. */
export function identitiesOf({ name, about }: Pick<Side, 'name' | 'about'>): StepIdentities {
  const { stage, number, text } = placeOf(name)
  const { context, dockerfile } = membersOf(membersOf(about).build)
  const build = { context: textOf(context) ?? '', dockerfile: textOf(dockerfile) ?? '' }
  const folder = build.context.replace(/\/+$/, '').replace(/^.*\//s, '')
  const place = { instruction: instructionOf(text), number, stage }
  return {
    line: digestKey('tsbuild.step-text.v1', { build, stage, text }),
    place: digestKey('tsbuild.step-place.v1', { build, ...place }),
    lineElsewhere: digestKey('tsbuild.step-text.v1', { stage, text }),
    placeElsewhere: digestKey('tsbuild.step-place.v1', { folder, ...place }),
  }
}

/** See {@link identitiesOf}. */
export interface StepIdentities {
  readonly line: Digest
  readonly place: Digest
  readonly lineElsewhere: Digest
  readonly placeElsewhere: Digest
}
