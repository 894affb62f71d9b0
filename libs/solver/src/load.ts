import type { Digest } from '@tsbuild/digest'
import type { ContentRead } from '@tsbuild/events'
import type { KeyedInput, Resolved, Run, State } from './run.ts'
import type { CacheRecord, Miss, RecordedInput, StepOp } from './types.ts'

/** A record that was found and does not count, and why. */
export type Unusable = NonNullable<Miss['unusable']>

/** What a look-up gave; nothing of both where there is no record, or none may count. */
export interface Found {
  readonly record?: CacheRecord
  readonly unusable?: Unusable
}

/** Looks a step up. A forced step finds nothing, and no step finds a record that is older than it takes. */
export function find<R>(run: Run<R>, { vertex }: State<R>, op: StepOp<R>, key: Digest): Found {
  const { maxAgeMs } = op
  if (vertex.ignoreCache || maxAgeMs === 0) return {}
  const record = run.cache.load(key)
  if (record === undefined) return {}
  const ageMs = run.now() - record.createdAt
  // A record of the future says that the clock was set: nobody knows how old it is.
  const expired = maxAgeMs !== undefined && (ageMs >= maxAgeMs || ageMs < 0)
  return expired ? { unusable: { record, why: 'expired' } } : { record }
}

/** Which of two records says why a step has to run: the later one, but that one was too old is never forgotten. */
export function graver(before: Unusable | undefined, now: Unusable | undefined): Unusable | undefined {
  return now === undefined || before?.why === 'expired' ? before : now
}

/** Whether the step has to run whatever it finds, or because what it found is too old: it then counts as nothing that was. */
export function isForced<R>({ vertex }: State<R>, op: StepOp<R>, found: Unusable | undefined): boolean {
  return vertex.ignoreCache || op.maxAgeMs === 0 || found?.why === 'expired'
}

/** What {@link load} gave: the result, or why there is none. */
export type Loaded<R> = { readonly resolved: Resolved<R> } | { readonly unusable: Unusable }

/**
 * Brings the result of a record back, upon the bases that it was made upon.
 *
 * @param bases what the inputs that {@link StepOp.bases} names are now, in that order
 */
export function load<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  record: CacheRecord,
  bases: readonly Resolved<R>[],
): Loaded<R> {
  const same = op.bases.every((input, index) => isBuiltUpon(record.inputs[input], bases[index]?.input))
  if (!same) return { unusable: { record, why: 'other-base' } }
  const result = op.load(
    record.stored,
    bases.map((base) => base.result),
  )
  if (result === undefined) return { unusable: { record, why: 'gone' } }
  // Said once, also of a step that is looked up once more.
  if (!state.found) {
    run.cached++
    const { vertex } = state
    const facts = { savedMs: record.durationMs, ...readsOf(state, record.inputs) }
    run.events({ type: 'vertex.cached', vertex: vertex.digest, from: 'local', ...facts, at: run.now() })
    op.found?.(record, { vertex, signal: run.signal, events: run.events })
  }
  state.found = true
  return { resolved: { result, input: { kind: 'result', key: record.outputKey } } }
}

/** What a step reads of its inputs by content, for those who look on. */
export function readsOf<R>(
  { vertex }: State<R>,
  inputs: readonly RecordedInput[],
): { readonly reads?: readonly ContentRead[] } {
  const reads = inputs.flatMap((recorded, index) => {
    const input = vertex.inputs[index]
    return recorded.kind === 'content' && input !== undefined ? [{ input, content: recorded.digest }] : []
  })
  return reads.length === 0 ? {} : { reads }
}

/**
 * A layer belongs onto the very result it was made upon, and not onto that of a later run of the same step, unless that
 * made the same.
 */
function isBuiltUpon(recorded: RecordedInput | undefined, base: KeyedInput | undefined): boolean {
  return recorded?.kind !== 'result' || base?.kind !== 'result' || recorded.key === base.key
}
