import type { Digest } from '@tsbuild/digest'
import type { ContentRead } from '@tsbuild/events'
import { definitionKey } from './keys.ts'
import type { KeyedInput, Resolved, Run, State } from './run.ts'
import type { CacheRecord, Miss, RecordedInput, SolvedStep, StepOp } from './types.ts'

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
  if (maxAgeMs === undefined) {
    const record = run.cache.load(key)
    return record === undefined ? {} : { record }
  }
  const isUsable = ({ createdAt }: CacheRecord) => {
    const ageMs = run.now() - createdAt
    // A record of the future says that the clock was set: nobody knows how old it is.
    return ageMs < maxAgeMs && ageMs >= 0
  }
  const record = run.cache.load(key, isUsable)
  if (record === undefined) return {}
  return isUsable(record) ? { record } : { unusable: { record, why: 'expired' } }
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

/** What {@link load} works with. */
export interface Loading<R> {
  readonly record: CacheRecord
  /** What is known of the step's keys. */
  readonly keys: readonly (Digest | undefined)[]
  /** What the inputs that {@link StepOp.bases} names are now, in that order. */
  readonly bases: readonly Resolved<R>[]
}

/** Brings the result of a record back, upon the bases that it was made upon. */
export function load<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  { record, keys, bases }: Loading<R>,
): Loaded<R> {
  const result = bringBack(op, record, bases)
  if (typeof result === 'string') return { unusable: { record, why: result } }
  // Said once, also of a step that is looked up once more.
  if (!state.found) {
    run.cached++
    const { vertex } = state
    const facts = { savedMs: record.durationMs, ...readsOf(state, record.inputs) }
    const place = record.from === undefined ? local : ({ from: 'remote', cache: record.from } as const)
    run.events({ type: 'vertex.cached', vertex: vertex.digest, ...place, ...facts, at: run.now() })
    op.found?.(record, { vertex, signal: run.signal, events: run.events })
  }
  state.found = true
  take(run, state, keys, { record, result: result.result })
  if (record.from !== undefined) run.commits.push(keepLists(run, state, op))
  return { resolved: { result: result.result, input: { kind: 'result', key: record.outputKey } } }
}

const local = { from: 'local' } as const

/** Notes how a step was brought back. */
function take<R>(
  run: Run<R>,
  state: State<R>,
  keys: readonly (Digest | undefined)[],
  { record, result }: { readonly record: CacheRecord; readonly result: R },
): void {
  const solved = { vertex: state.vertex, keys: keys.filter((key) => key !== undefined), record, result }
  state.solved = solved
  run.onStep?.({ ...solved, keys: keysOf(solved) })
}

/** The next miss of a step that was found elsewhere is to name a file. Of what is there to be read anyway; best effort. */
async function keepLists<R>(run: Run<R>, state: State<R>, op: StepOp<R>): Promise<void> {
  const keeping = [...state.contents.keys()].map(async (index) => {
    const input = await state.inputs[index]?.resolved
    if (input !== undefined) await op.inputs[index]?.keepList?.(input.result, run.signal)
  })
  await Promise.allSettled(keeping)
}

/** All keys of a step: of a record whose inputs count by content the content key follows. */
export function keysOf<R>({ keys, record }: SolvedStep<R>): readonly Digest[] {
  return [...new Set([...keys, definitionKey(record.op, record.inputs)])]
}

/** The result of a record upon what its bases are now, or why there is none. Says nothing to anybody. */
export function bringBack<R>(
  op: StepOp<R>,
  record: CacheRecord,
  bases: readonly Resolved<R>[],
): { readonly result: R } | Unusable['why'] {
  const same = op.bases.every((input, index) => isBuiltUpon(record.inputs[input], bases[index]?.input))
  if (!same) return 'other-base'
  const result = op.load(
    record.stored,
    bases.map((base) => base.result),
  )
  return result === undefined ? 'gone' : { result }
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
