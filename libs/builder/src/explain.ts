import { describeDifference, type Explanation, largestFiles, readExplanation } from '@tsbuild/cache'
import { type BuildRecord, type BuildStep, createHistory, type History } from '@tsbuild/history'
import type {
  ContextFile,
  ExplainedHit,
  ExplainedMiss,
  ExplainedTransfer,
  ExplainOptions,
  ExplainReport,
} from './explain-types.ts'
import { findBuild, oneStep } from './history-calls.ts'
import type { Machine } from './machine.ts'

/** How many files of a build context are named. */
const namedFiles = 10

/**
 * Says of a build that is in the history why its steps had to run, where the others came from, what it read and what it sent.
 *
 * @throws {UserError} `ERR_BUILD_NOT_FOUND`, `ERR_STEP_NOT_FOUND`
 */
export async function explainBuild(machine: Machine, options: ExplainOptions): Promise<ExplainReport> {
  const { store } = machine
  const history = createHistory(store.builds)
  const build = findBuild(history, options.ref)
  const steps = options.step === undefined ? build.steps : [oneStep(build, options.step)]
  const { ref, name, startedAt, outcome } = build
  return {
    build: { ref, name, startedAt, outcome },
    misses: steps.flatMap((step) => explainedMiss(history, build, step)),
    hits: steps.flatMap(explainedHit),
    exports: steps.flatMap(sentBlobs),
    context: options.context === true ? await contextFiles(store, build, steps) : undefined,
  }
}

function explainedMiss(history: History, build: BuildRecord, step: BuildStep): readonly ExplainedMiss[] {
  const { number, vertex, name, miss, explained } = step
  if (miss === null) return []
  const kept = explained ? readExplanation(history.explanation(build.ref, vertex)) : undefined
  return [{ number, vertex, name, reason: miss, ...comparisonOf(kept) }]
}

function comparisonOf(kept: Explanation | undefined) {
  if (kept === undefined) return { earlier: null, cause: null, differences: null, text: [] }
  const { earlier, cause, differences } = kept
  return { earlier, cause, differences, text: differences.flatMap(describeDifference) }
}

function explainedHit({ number, vertex, name, outcome, from, savedMs }: BuildStep): readonly ExplainedHit[] {
  return outcome === 'cached' && from !== null ? [{ number, vertex, name, from, savedMs }] : []
}

function sentBlobs({ name, transfers }: BuildStep): readonly ExplainedTransfer[] {
  return transfers.flatMap(({ id, totalBytes, outcome }) =>
    outcome === undefined
      ? []
      : [{ step: name, blob: id.replace(/^pushing /, ''), bytes: totalBytes, outcome }],
  )
}

/** The largest files that the steps read of build contexts, and of what was fetched. */
async function contextFiles(
  store: Machine['store'],
  { steps: all }: BuildRecord,
  steps: readonly BuildStep[],
): Promise<readonly ContextFile[]> {
  const sources = new Map(all.flatMap((step) => (step.role === 'source' ? [[step.vertex, step.name]] : [])))
  const reads = steps.flatMap(({ name, reads }) => reads.map((read) => ({ ...read, step: name })))
  const files = await Promise.all(
    reads.map(async ({ input, content, step }) => {
      const from = sources.get(input)
      const list = from === undefined ? undefined : await store.getFileList(content)
      return from === undefined || list === undefined
        ? []
        : largestFiles(list, namedFiles).map((file) => ({ ...file, step, from }))
    }),
  )
  return files
    .flat()
    .toSorted((a, b) => b.bytes - a.bytes)
    .slice(0, namedFiles)
}
