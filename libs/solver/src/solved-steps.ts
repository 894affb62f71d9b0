import { bringBack, keysOf } from './load.ts'
import { basesOf, type Resolved, type Run, type State, viewInput } from './run.ts'
import type { SolvedStep, StepOp } from './types.ts'

/**
 * Every step that ran, was brought back, or could be: see `Solution.steps`.
 *
 * @param states inputs before their readers
 */
export async function solvedSteps<R>(
  run: Run<R>,
  states: readonly State<R>[],
): Promise<readonly SolvedStep<R>[]> {
  const known = new Map<State<R>, Resolved<R>>()
  const steps: SolvedStep<R>[] = []
  for (const state of states) {
    const resolved = await (state.resolved ?? peek(run, state, known))
    if (resolved !== undefined) known.set(state, resolved)
    if (state.solved !== undefined) steps.push({ ...state.solved, keys: keysOf(state.solved) })
  }
  return steps
}

/** What a vertex would give that nobody needed; nothing is run, and nothing said. */
async function peek<R>(
  run: Run<R>,
  state: State<R>,
  known: ReadonlyMap<State<R>, Resolved<R>>,
): Promise<Resolved<R> | undefined> {
  const { op, vertex } = state
  const keyed = await state.keyed
  if (op.kind === 'source') {
    // Without a key it is no base of anything.
    if (op.key === undefined) return undefined
    const result = await op.describe({ vertex, signal: run.signal, events: () => {} })
    return { result, input: { kind: 'source', key: op.key } }
  }
  const inputs = state.inputs.map((input) => known.get(input))
  if (op.kind === 'view') {
    const all = inputs.filter((input) => input !== undefined)
    if (all.length < inputs.length) return undefined
    const input = viewInput(
      op,
      all.map((one) => one.input),
    )
    return { result: op.combine(all.map(({ result }) => result)), input }
  }
  return keyed?.record === undefined ? undefined : peekStep(state, op, known)
}

async function peekStep<R>(
  state: State<R>,
  op: StepOp<R>,
  known: ReadonlyMap<State<R>, Resolved<R>>,
): Promise<Resolved<R> | undefined> {
  const { record, definition } = (await state.keyed) ?? {}
  const bases = basesOf(state, op, state.inputs).flatMap((base) => known.get(base) ?? [])
  if (record === undefined || bases.length < op.bases.length) return undefined
  const brought = bringBack(op, record, bases)
  if (typeof brought === 'string') return undefined
  const { result } = brought
  const keys = definition === undefined ? [] : [definition]
  state.solved = { vertex: state.vertex, keys, record, result }
  return { result, input: { kind: 'result', key: record.outputKey } }
}
