import type { Case } from './case.ts'
import { describeDockerfile, describeStages } from './describe-dockerfile.ts'
import { describeImage } from './describe-image.ts'
import type { ErrorWant, ImageWant, InstructionsWant } from './want.ts'
import { failureOf, type SharedWorkshop, type Workshop } from './workshop.ts'

/** What a case says and what came of it, in the notation of want.json: equal when the case holds. */
export interface Comparison {
  readonly wanted: unknown
  readonly found: unknown
}

/** Runs a case. @throws what a build throws that was to succeed; Error when a build succeeds that was to fail */
export async function checkCase(one: Case, shared: SharedWorkshop): Promise<Comparison> {
  const { want } = one
  switch (want.kind) {
    case 'instructions':
      return compareInstructions(want, one.dockerfile ?? '')
    case 'image':
      return await compareImage(want, one, await shared.open())
    case 'error':
      return await compareError(want, (await shared.open()).build(one))
  }
}

function compareInstructions(want: InstructionsWant, text: string): Comparison {
  const found = describeDockerfile(text, want.instructions)
  return {
    wanted: given(want),
    found: want.stages === undefined ? found : { ...found, stages: describeStages(text) },
  }
}

async function compareImage(want: ImageWant, one: Case, workshop: Workshop): Promise<Comparison> {
  const base = want.since === undefined ? undefined : workshop.bases.get(want.since)
  if (want.since !== undefined && base === undefined) throw new Error(`there is no base image ${want.since}`)
  const built = await workshop.build(one)
  const { executed, cached } = built
  const wantedWarnings = want.warnings
  return {
    wanted: given(want),
    found: given({
      kind: 'image',
      since: want.since,
      ...describeImage(built.image, base?.image, want),
      warnings:
        wantedWarnings &&
        built.warnings.map((warning, index) => ({
          ...warning,
          message: pieceOf(warning.message, wantedWarnings[index]?.message),
        })),
      again: want.again && { executed, cached },
    }),
  }
}

async function compareError(want: ErrorWant, attempt: Promise<unknown>): Promise<Comparison> {
  const { code, message, source, hints } = await failureOf(attempt)
  return {
    wanted: given(want),
    found: given({
      kind: 'error',
      code,
      line: source?.startLine ?? null,
      endLine: want.endLine === undefined ? undefined : source?.endLine,
      message: pieceOf(message, want.message),
      hint: want.hint === undefined ? undefined : pieceOf(hints.join('\n'), want.hint),
    }),
  }
}

/** Without the members that are undefined, at any depth. */
function given(members: object): unknown {
  return JSON.parse(JSON.stringify(members))
}

/** The piece where the text holds it, else the text, so that a difference shows what was said instead. */
function pieceOf(text: string, piece: string | undefined): string {
  return piece !== undefined && text.includes(piece) ? piece : text
}
