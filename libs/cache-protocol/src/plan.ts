import type { Digest } from '@tsbuild/digest'
import { definitionKey, type RecordedInput } from '@tsbuild/solver'
import type { PlanInput, PlanKnownInput, PlanStep } from './types.ts'

/** What {@link evaluatePlan} says of a step. */
export interface EvaluatedStep {
  /** What it was looked for under. Undefined for a view, for what is known already, and where an input was not found. */
  readonly key: Digest | undefined
  /** What it counts as; undefined where it was not found. */
  readonly outputKey: Digest | undefined
}

/**
 * Goes through the steps of a build once: makes the key of each of what its inputs count as, in the way of libs/solver, and looks it
 * up. What stands upon a step that is not found has no key, and is not looked for.
 *
 * @param steps inputs before their readers
 * @param find the output key of what is recorded under a key
 * @returns one for each step
 */
export function evaluatePlan(
  steps: readonly PlanStep[],
  find: (key: Digest, step: number) => Digest | undefined,
): readonly EvaluatedStep[] {
  const slices = evaluateSlices(steps, find)
  for (;;) {
    const { done, value } = slices.next()
    if (done === true) return value
  }
}

/**
 * As {@link evaluatePlan}, for who has others to serve meanwhile.
 *
 * @param pause awaited between two slices of the work, of some milliseconds each; what it throws ends the work
 */
export async function evaluatePlanSliced(
  steps: readonly PlanStep[],
  find: (key: Digest, step: number) => Digest | undefined,
  pause: () => Promise<void>,
): Promise<readonly EvaluatedStep[]> {
  const slices = evaluateSlices(steps, find)
  for (;;) {
    const { done, value } = slices.next()
    if (done === true) return value
    await pause()
  }
}

/** Steps and inputs of one slice: a key of a step with few takes some 20 µs. */
const sliceSize = 100

function* evaluateSlices(
  steps: readonly PlanStep[],
  find: (key: Digest, step: number) => Digest | undefined,
): Generator<void, readonly EvaluatedStep[], void> {
  const evaluated: EvaluatedStep[] = []
  let left = sliceSize
  for (const [place, step] of steps.entries()) {
    left -= 1 + step.inputs.length
    if (left < 0) {
      if (place > 0) yield
      left = sliceSize
    }
    if (step.outputKey !== undefined) {
      evaluated.push({ key: undefined, outputKey: step.outputKey })
      continue
    }
    const inputs = inputsOf(step, evaluated)
    if (inputs === undefined) {
      evaluated.push({ key: undefined, outputKey: undefined })
      continue
    }
    const key = definitionKey(step.op, inputs)
    evaluated.push(
      step.kind === 'view' ? { key: undefined, outputKey: key } : { key, outputKey: find(key, place) },
    )
  }
  return evaluated
}

function inputsOf(
  { inputs }: PlanStep,
  evaluated: readonly EvaluatedStep[],
): readonly RecordedInput[] | undefined {
  const counted: RecordedInput[] = []
  for (const input of inputs) {
    const as = countsAs(input, evaluated)
    if (as === undefined) return undefined
    counted.push(as)
  }
  return counted
}

function countsAs(input: PlanInput, evaluated: readonly EvaluatedStep[]): RecordedInput | undefined {
  if (input.kind === 'known') return recorded(input.input)
  const key = evaluated[input.step]?.outputKey
  return key === undefined ? undefined : { kind: 'result', key, selector: input.selector }
}

/** What explains a miss is not sent, and is in no key. */
function recorded(input: PlanKnownInput): RecordedInput {
  return input.kind === 'content' ? { ...input, preimage: null } : input
}
