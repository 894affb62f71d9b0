import type { Digest } from '@tsbuild/digest'
import { contentOf } from './look-up.ts'
import type { Run, State } from './run.ts'
import type { PlannedInput, PlannedStep, StepOp } from './types.ts'

/**
 * Asks caches elsewhere for everything that can be asked for before anything has run, at once: each step of the graph whose key follows
 * from what there is and from what may be found. Contents that count are read for it, which the look-ups do not do again.
 *
 * @param states inputs before their readers
 */
export async function prepare<R>(run: Run<R>, states: readonly State<R>[]): Promise<void> {
  if (run.cache.prepare === undefined) return
  const planned = await Promise.all(states.map((state) => planStep(run, state)))
  const known = new Set<Digest>()
  const steps = planned.filter((step) => {
    // What stands upon a step that has to run in any case can only be asked for when it has run.
    const follows = step?.inputs.every((input) => input.kind !== 'step' || known.has(input.vertex)) ?? false
    if (step !== undefined && follows) known.add(step.vertex.digest)
    return follows
  })
  await run.cache.prepare(
    steps.filter((step) => step !== undefined),
    run.signal,
  )
}

/** @returns undefined for what is not looked up: sources, steps that are forced, and those of which an input cannot be read */
async function planStep<R>(run: Run<R>, state: State<R>): Promise<PlannedStep | undefined> {
  const { vertex, op } = state
  if (op.kind === 'source') return undefined
  if (op.kind === 'step' && isForced(state, op)) return undefined
  const inputs = await Promise.all(
    state.inputs.map((_, index) => planInput(run, state, index).catch(() => undefined)),
  )
  const all = inputs.filter((input) => input !== undefined)
  if (all.length < inputs.length) return undefined
  const inputNames = state.inputs.map((input) => input.vertex.name)
  return { vertex, kind: op.kind, op: op.key, inputs: all, inputNames }
}

function isForced<R>({ vertex }: State<R>, { maxAgeMs }: StepOp<R>): boolean {
  return vertex.ignoreCache || maxAgeMs === 0
}

async function planInput<R>(run: Run<R>, state: State<R>, index: number): Promise<PlannedInput | undefined> {
  const { op } = state
  const input = state.inputs[index]
  if (input === undefined) return undefined
  const selector = op.kind === 'step' ? op.inputs[index]?.selector : undefined
  if (input.op.kind !== 'source') return { kind: 'step', vertex: input.vertex.digest, selector }
  if (input.op.key !== undefined) return { kind: 'source', key: input.op.key, selector }
  return op.kind === 'step' ? await contentOf(run, state, op, index) : undefined
}
