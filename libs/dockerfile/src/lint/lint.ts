import type { Dockerfile, LintWarning } from '../instruction.ts'
import { type CheckOptions, checkOptionsOf, withComments } from './check-options.ts'
import type { Rule } from './finding.ts'
import { instructionRules } from './instruction-rules.ts'
import { stageRules } from './stage-rules.ts'

const RULES: readonly Rule[] = [...stageRules, ...instructionRules]

function runs(rule: Pick<Rule, 'name' | 'experimental'>, { skip, experimental }: CheckOptions): boolean {
  if (rule.experimental) return experimental === 'all' || experimental.has(rule.name)
  return skip !== 'all' && !skip.has(rule.name)
}

/** How `lint` runs. */
export interface LintOptions {
  /** The value of the build argument `BUILDKIT_DOCKERFILE_CHECK`; it replaces the `check` directive. */
  readonly check?: string
}

/**
 * Runs the rules that need nothing but the file, over all stages, and gives their findings in file order. The others need the
 * environment, the context or the base image: the frontend's.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for malformed check options
 * @see spec/dockerfile.md 1.8
 */
export function lint(dockerfile: Dockerfile, { check }: LintOptions = {}): readonly LintWarning[] {
  const options = checkOptionsOf(dockerfile, check)
  const read = dockerfile.warnings.filter(({ rule }) => runs({ name: rule }, options))
  const found = RULES.flatMap((rule) =>
    rule
      .find(dockerfile)
      .filter(({ instruction }) => runs(rule, withComments(options, instruction.comments)))
      .map(({ instruction, message }) => ({ rule: rule.name, message, source: instruction.source })),
  )
  return [...read, ...found].sort(
    (a, b) => a.source.startLine - b.source.startLine || (a.rule < b.rule ? -1 : a.rule > b.rule ? 1 : 0),
  )
}
