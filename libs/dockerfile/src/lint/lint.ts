import type { Dockerfile } from '../instruction.ts'
import type { LintMessage } from './finding.ts'
import { createLinter } from './linter.ts'

/** How {@link lint} runs. */
export interface LintOptions {
  /** The value of the build argument `BUILDKIT_DOCKERFILE_CHECK`; it replaces the `check` directive. */
  readonly check?: string
  /** `--build-arg`. */
  readonly buildArgs?: Readonly<Record<string, string>>
}

/**
 * Runs the rules that need nothing but the text, over all stages, and gives their findings in file order. The others need the
 * environment, the context or the base image: the frontend's.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for malformed check options
 * @see spec/dockerfile.md 1.8
 */
export function lint(
  dockerfile: Dockerfile,
  { check, buildArgs = {} }: LintOptions = {},
): readonly LintMessage[] {
  const linter = createLinter(dockerfile, check)
  linter.runTextRules({ buildArgs, baseShell: () => undefined })
  return linter.warnings()
}
