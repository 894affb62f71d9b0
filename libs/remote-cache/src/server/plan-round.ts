import {
  maxKeys,
  maxPlanBytes,
  type PlanInput,
  type PlanKnownInput,
  type PlanStep,
} from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { definitionKey, type PlannedInput, type PlannedStep, type RecordedInput } from '@tsbuild/solver'

/** Room for what a request has around its steps. */
const frameBytes = 100

/** What one request asks for. */
export interface PlanRound {
  readonly steps: readonly PlanStep[]
  /** The steps of the build that those are, in the same order. */
  readonly planned: readonly PlannedStep[]
}

/** What the steps of a build count as, by vertex, as far as that is known. */
export type Counts = Map<Digest, Digest>

/** See {@link nextRound}. */
export interface RoundState {
  /** Filled with what follows from what is known. */
  readonly counts: Counts
  /** The output key of what is recorded under a key, here or where it was found. */
  readonly known: (key: Digest) => Digest | undefined
  /** Keys that were asked for: what was not found is not there. */
  readonly asked: ReadonlySet<Digest>
}

/**
 * What is left to ask for: the steps that are not known and whose inputs are, and those that stand upon them. What is known is
 * named by what it counts as, and not sent.
 */
export function nextRound(steps: readonly PlannedStep[], { counts, known, asked }: RoundState): PlanRound {
  const places = new Map<Digest, number>()
  let bytes = 0
  const round = { steps: [] as PlanStep[], planned: [] as PlannedStep[] }
  for (const step of steps) {
    const { vertex, kind, op } = step
    const inputs = recordedInputs(step.inputs, counts)
    if (inputs !== undefined) {
      const key = definitionKey(op, inputs)
      const outputKey = kind === 'view' ? key : known(key)
      if (outputKey !== undefined) {
        counts.set(vertex.digest, outputKey)
        continue
      }
      if (asked.has(key)) continue
    }
    const sent = sentInputs(step.inputs, counts, places)
    if (sent === undefined || round.steps.length >= maxKeys) continue
    const wanted: PlanStep = { kind, op, inputs: sent }
    bytes += Buffer.byteLength(JSON.stringify(wanted)) + 1
    // The rest stands upon these, or is asked for in a round after this.
    if (bytes > maxPlanBytes - frameBytes) break
    places.set(vertex.digest, round.steps.push(wanted) - 1)
    round.planned.push(step)
  }
  return round
}

/** What the inputs of a step count as; undefined while that of one is not known. */
export function recordedInputs(
  inputs: readonly PlannedInput[],
  counts: ReadonlyMap<Digest, Digest>,
): readonly RecordedInput[] | undefined {
  const recorded: RecordedInput[] = []
  for (const input of inputs) {
    if (input.kind !== 'step') {
      recorded.push(input)
      continue
    }
    const key = counts.get(input.vertex)
    if (key === undefined) return undefined
    recorded.push({ kind: 'result', key, selector: input.selector })
  }
  return recorded
}

/** Undefined where an input is neither known nor asked for. */
function sentInputs(
  inputs: readonly PlannedInput[],
  counts: ReadonlyMap<Digest, Digest>,
  places: ReadonlyMap<Digest, number>,
): readonly PlanInput[] | undefined {
  const sent: PlanInput[] = []
  for (const input of inputs) {
    if (input.kind !== 'step') {
      sent.push({ kind: 'known', input: withoutPreimage(input) })
      continue
    }
    const { vertex, selector } = input
    const key = counts.get(vertex)
    const step = places.get(vertex)
    if (key !== undefined) sent.push({ kind: 'known', input: { kind: 'result', key, selector } })
    else if (step !== undefined) sent.push({ kind: 'step', step, selector })
    else return undefined
  }
  return sent
}

/** What content was read stays here: its digest counts. */
function withoutPreimage(input: RecordedInput): PlanKnownInput {
  return input.kind === 'content' ? { kind: 'content', digest: input.digest } : input
}
