import type { SourceRange } from '@tsbuild/errors'
import type { Dockerfile, Instruction, Stage } from '../instruction.ts'
import type { LintRuleName } from './rules.ts'

/** What a rule found. */
export interface Finding {
  /** Its comments and its stage decide whether the finding counts; null for what is wrong outside of the file. */
  readonly instruction: Instruction | null
  readonly message: string
  /** The word that is wrong; the instruction where it is not given. */
  readonly source?: SourceRange | undefined
}

/** A finding as it is told. Never fails a build by itself. @see spec/dockerfile.md 1.8 */
export interface LintMessage {
  readonly rule: LintRuleName
  readonly message: string
  /** The word that is wrong; null for what is wrong outside of the file. */
  readonly source: SourceRange | null
}

/** What rules that need only the text look at. */
export interface LintInput {
  readonly dockerfile: Dockerfile
  /** `--build-arg`. */
  readonly buildArgs: Readonly<Record<string, string>>
  /** `SHELL` of a stage's base image; undefined where it sets none or is not known. */
  readonly baseShell: (stage: Stage) => readonly string[] | undefined
}

/** A rule that needs only the text. */
export interface Rule {
  readonly name: LintRuleName
  readonly find: (input: LintInput) => readonly Finding[]
}

/** What {@link perInstruction} is told of one instruction. */
export interface Problem {
  readonly message: string
  readonly source?: SourceRange | undefined
}

/** Makes a rule that looks at one instruction at a time; null is no finding. */
export function perInstruction(
  name: LintRuleName,
  find: (instruction: Instruction, dockerfile: Dockerfile) => Problem | null,
): Rule {
  return {
    name,
    find: ({ dockerfile }) =>
      dockerfile.instructions.flatMap((instruction) => {
        const problem = find(instruction, dockerfile)
        return problem === null ? [] : [{ instruction, ...problem }]
      }),
  }
}
