import type { Digest } from '@tsbuild/digest'
import { definitionKey, type PlannedInput, type PlannedStep, type RecordedInput } from '@tsbuild/solver'
import type { IndexedStep } from './types.ts'

/** A step of a plan that is in an index. */
export interface PlannedHit {
  readonly planned: PlannedStep
  readonly inputs: readonly RecordedInput[]
  /** What it was looked for under. */
  readonly key: Digest
  readonly step: IndexedStep
}

/** Finds results by their keys. */
export interface StepLookup {
  /** Newest first. */
  find(key: Digest): readonly IndexedStep[]
}

/** Of one vertex what it may count as. More is not looked at: each multiplies what stands upon it. */
const maxCandidates = 4

/** Of the inputs of one step: most of them lead to nothing. */
const maxCombinations = 64

/** Makes a look-up over steps. */
export function lookupOf(steps: readonly IndexedStep[]): StepLookup {
  const byKey = new Map<Digest, IndexedStep[]>()
  for (const step of steps.toSorted((a, b) => b.createdAt - a.createdAt)) {
    for (const key of step.keys) {
      const found = byKey.get(key)
      if (found === undefined) byKey.set(key, [step])
      else found.push(step)
    }
  }
  return { find: (key) => byKey.get(key) ?? [] }
}

/** What a vertex may count as, and what that rests on. */
interface Candidate {
  readonly outputKey: Digest
  readonly hit: PlannedHit | undefined
  /** Of each input that is a step, its candidate. */
  readonly upon: ReadonlyMap<Digest, Candidate>
}

/** Of a vertex; none where it was not found. */
type CandidatesOf = (vertex: Digest) => readonly Candidate[]

/**
 * Looks the steps of a build up. A key may have several results, of builds that ran side by side: of each step that one is taken
 * that most of what stands upon it was made of.
 *
 * @param steps inputs before their readers
 * @param known what is known of keys already: it is what that step counts as, and is not in the answer
 */
export function planOver(
  steps: readonly PlannedStep[],
  lookup: StepLookup,
  known: (key: Digest) => { readonly outputKey: Digest } | undefined,
): readonly PlannedHit[] {
  const candidates = new Map<Digest, readonly Candidate[]>()
  const all: CandidatesOf = (vertex) => candidates.get(vertex) ?? []
  for (const planned of steps)
    candidates.set(planned.vertex.digest, candidatesOf(planned, all, lookup, known))
  const chosen = new Map<Digest, Candidate>()
  // From the last steps on: they are what a build wants.
  for (const { vertex } of steps.toReversed()) {
    const best = chosen.get(vertex.digest) ?? candidates.get(vertex.digest)?.[0]
    if (best !== undefined) choose(vertex.digest, best, chosen)
  }
  // What was made of another result than the one that was taken is not there for this build.
  const consistent = new Map<Digest, Candidate>()
  const taken: CandidatesOf = (vertex) => {
    const one = consistent.get(vertex)
    return one === undefined ? [] : [one]
  }
  for (const planned of steps) {
    const { digest } = planned.vertex
    const own = chosen.get(digest)
    const again = candidatesOf(planned, taken, lookup, known)
    const same = again.find((one) => one.outputKey === own?.outputKey) ?? again[0]
    if (same !== undefined) consistent.set(digest, same)
  }
  return steps.flatMap(({ vertex }) => consistent.get(vertex.digest)?.hit ?? [])
}

/** Without recursion: a chain may be thousands of steps long. */
function choose(digest: Digest, candidate: Candidate, chosen: Map<Digest, Candidate>): void {
  const pending: [Digest, Candidate][] = [[digest, candidate]]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [vertex, taken] = next
    if (chosen.has(vertex)) continue
    chosen.set(vertex, taken)
    pending.push(...taken.upon)
  }
}

function candidatesOf(
  planned: PlannedStep,
  candidates: CandidatesOf,
  lookup: StepLookup,
  known: (key: Digest) => { readonly outputKey: Digest } | undefined,
): readonly Candidate[] {
  const found: Candidate[] = []
  for (const { inputs, upon } of combinations(planned.inputs, candidates)) {
    const key = definitionKey(planned.op, inputs)
    if (planned.kind === 'view') {
      found.push({ outputKey: key, hit: undefined, upon })
      continue
    }
    const own = known(key)
    if (own !== undefined) {
      found.push({ outputKey: own.outputKey, hit: undefined, upon })
      continue
    }
    for (const step of lookup.find(key))
      found.push({ outputKey: step.outputKey, hit: { planned, inputs, key, step }, upon })
  }
  const once = new Map(found.map((one) => [one.outputKey, one] as const).toReversed())
  return found.filter((one) => once.get(one.outputKey) === one).slice(0, maxCandidates)
}

interface Combination {
  readonly inputs: readonly RecordedInput[]
  readonly upon: ReadonlyMap<Digest, Candidate>
}

/** What the inputs may count as, all together; none where one of them was not found. The first ones first. */
function combinations(inputs: readonly PlannedInput[], candidates: CandidatesOf): readonly Combination[] {
  let combined: readonly Combination[] = [{ inputs: [], upon: new Map() }]
  for (const input of inputs) {
    combined = combined.flatMap((before) => countings(input, before, candidates)).slice(0, maxCombinations)
    if (combined.length === 0) return []
  }
  return combined
}

function countings(
  input: PlannedInput,
  { inputs, upon }: Combination,
  candidates: CandidatesOf,
): readonly Combination[] {
  if (input.kind !== 'step') return [{ inputs: [...inputs, input], upon }]
  const { vertex, selector } = input
  const before = upon.get(vertex)
  // A step that is two inputs of one reader is the same one both times.
  const all = before === undefined ? candidates(vertex) : [before]
  return all.map((candidate) => ({
    inputs: [
      ...inputs,
      { kind: 'result', key: candidate.outputKey, ...(selector === undefined ? {} : { selector }) },
    ],
    upon: new Map([...upon, [vertex, candidate]]),
  }))
}
