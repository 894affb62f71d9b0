import { didYouMean, type SourceRange } from '@tsbuild/errors'
import type { Dockerfile, Instruction, Stage } from '../instruction.ts'
import { type CheckOptions, checkOptionsOf, noOptions, withComments } from './check-options.ts'
import type { Finding, LintInput, LintMessage } from './finding.ts'
import { isLintRule, type LintRuleName, lintRules } from './rules.ts'
import { textRules } from './text-rules.ts'

/** Far longer than the name of a rule. */
const longestName = 64

/** Collects the findings of one Dockerfile and decides which of them count. */
export interface Linter {
  /** `error=true`: findings fail the build. */
  readonly failsBuild: boolean
  /** What the check options and comments name that is no rule, with what was meant; it has no other effect. */
  readonly unknownRules: readonly { readonly message: string; readonly source: SourceRange | null }[]
  /** Notes a finding; one of the same words at the same place counts once. */
  report(rule: LintRuleName, finding: Finding): void
  /** Runs the rules that need only the text. */
  runTextRules(input: Omit<LintInput, 'dockerfile'>): void
  /**
   * What was found so far and is not switched off by `# check=`, in file order; what has no place comes last.
   *
   * @param stages what stands in other stages does not count; undefined for all
   */
  warnings(stages?: ReadonlySet<Stage>): readonly LintMessage[]
}

/**
 * Creates a linter without findings.
 *
 * @param check the build argument `BUILDKIT_DOCKERFILE_CHECK`, which replaces the `check` directive
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for malformed check options
 * @see spec/dockerfile.md 1.8
 */
export function createLinter(dockerfile: Dockerfile, check: string | undefined): Linter {
  const options = checkOptionsOf(dockerfile, check)
  const found = new Map<string, { readonly rule: LintRuleName; readonly finding: Finding }>()
  const report = (rule: LintRuleName, finding: Finding): void => {
    // Before its place is asked for, which takes far longer than the finding did.
    if (!runs(rule, withComments(options, finding.instruction?.comments ?? []))) return
    const { startLine, startColumn } = sourceOf(finding) ?? { startLine: 0, startColumn: 0 }
    const key = JSON.stringify([rule, finding.message, startLine, startColumn])
    if (!found.has(key)) found.set(key, { rule, finding })
  }
  for (const finding of emptyLines(dockerfile)) report('NoEmptyContinuation', finding)
  return {
    failsBuild: options.error,
    unknownRules: unknownRules(dockerfile, options, check === undefined),
    report,
    runTextRules(input) {
      for (const { name, find } of textRules)
        for (const finding of find({ ...input, dockerfile })) report(name, finding)
    },
    warnings(stages) {
      const left = stages === undefined ? new Set<Instruction>() : outside(dockerfile, stages)
      return [...found.values()]
        .filter(({ finding: { instruction } }) => instruction === null || !left.has(instruction))
        .map(({ rule, finding }) => ({ rule, message: finding.message, source: sourceOf(finding) }))
        .sort(compare)
    },
  }
}

/** A mistyped name would leave its rule as it is without a word. */
function unknownRules(
  dockerfile: Dockerfile,
  options: CheckOptions,
  isOfFile: boolean,
): Linter['unknownRules'] {
  const directive = dockerfile.directives.find(({ name }) => name === 'check')
  const source = isOfFile ? (directive?.source ?? null) : null
  const commented = dockerfile.instructions.flatMap(({ comments, source: at }) =>
    namesIn(withComments(noOptions, comments)).map((name) => ({ name, source: at })),
  )
  return [...namesIn(options).map((name) => ({ name, source })), ...commented]
    .filter(({ name }) => !isLintRule(name) && name !== '' && name !== 'all')
    .map(({ name, source: at }) => {
      const meant = didYouMean(name.slice(0, longestName), Object.keys(lintRules))
      return {
        message: [`The check options name "${name}", which is no rule.`, ...meant].join(' '),
        source: at,
      }
    })
}

function namesIn({ skip, experimental }: CheckOptions): readonly string[] {
  return [skip, experimental].flatMap((names) => (names === 'all' ? [] : [...names]))
}

function sourceOf({ source, instruction }: Finding): LintMessage['source'] {
  return source ?? instruction?.source ?? null
}

/** What the reader of lines noticed, with the instruction of each line. Both are in file order. */
function emptyLines({ instructions, warnings }: Dockerfile): readonly Finding[] {
  let at = 0
  return warnings.map(({ message, source }) => {
    while ((instructions[at]?.source.endLine ?? source.startLine) < source.startLine) at++
    return { instruction: instructions[at] ?? null, message, source }
  })
}

/** The instructions of all other stages. */
function outside(dockerfile: Dockerfile, stages: ReadonlySet<Stage>): ReadonlySet<Instruction> {
  const others = dockerfile.stages.filter((stage) => !stages.has(stage))
  return new Set(others.flatMap((stage): readonly Instruction[] => [stage.from, ...stage.instructions]))
}

function runs(rule: LintRuleName, { skip, experimental }: CheckOptions): boolean {
  if (lintRules[rule].experimental) return experimental === 'all' || experimental.has(rule)
  return skip !== 'all' && !skip.has(rule)
}

function compare(a: LintMessage, b: LintMessage): number {
  const line = ({ source }: LintMessage) => source?.startLine ?? Number.POSITIVE_INFINITY
  const column = ({ source }: LintMessage) => source?.startColumn ?? 0
  // Two that have no place are at the same infinity, whose difference is no number.
  const place = line(a) === line(b) ? column(a) - column(b) : line(a) - line(b)
  return place || (a.rule < b.rule ? -1 : a.rule > b.rule ? 1 : 0)
}
