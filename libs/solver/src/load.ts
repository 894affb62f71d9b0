import type { KeyedInput, Resolved, Run, State } from './run.ts'
import type { CacheRecord, RecordedInput, StepOp } from './types.ts'

/**
 * Brings the result of a record back, upon the bases that it was made upon.
 *
 * @param bases what the inputs that {@link StepOp.bases} names are now, in that order
 * @returns undefined where it is gone, or a base is another one now
 */
export function load<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  record: CacheRecord,
  bases: readonly Resolved<R>[],
): Resolved<R> | undefined {
  const same = op.bases.every((input, index) => isBuiltUpon(record.inputs[input], bases[index]?.input))
  if (!same) return undefined
  const result = op.load(
    record.stored,
    bases.map((base) => base.result),
  )
  if (result === undefined) return undefined
  run.cached++
  run.events({ type: 'vertex.cached', vertex: state.vertex.digest, from: 'local', at: run.now() })
  return { result, input: { kind: 'result', key: record.outputKey } }
}

/** A layer belongs onto the very result it was made upon, and not onto that of a later run of the same step. */
function isBuiltUpon(recorded: RecordedInput | undefined, base: KeyedInput | undefined): boolean {
  return recorded?.kind !== 'result' || base?.kind !== 'result' || recorded.key === base.key
}
