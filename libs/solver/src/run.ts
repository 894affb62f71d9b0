import type { Digest } from '@tsbuild/digest'
import { InternalError, UserError, withSource } from '@tsbuild/errors'
import type { Vertex } from '@tsbuild/graph'
import type { LimitFunction } from 'p-limit'
import { definitionKey } from './keys.ts'
import type {
  CacheRecord,
  Miss,
  RecordedInput,
  SolvedStep,
  SolveOptions,
  SolverOp,
  SourceOp,
  StepOp,
  ViewOp,
} from './types.ts'

/** How a vertex counts in the keys of its readers, as far as that is known without running it. */
export interface Keyed {
  readonly input: KeyedInput | undefined
  /** Of a step: its own key and inputs, and the record found under it. */
  readonly definition?: Digest
  readonly inputs?: readonly RecordedInput[]
  readonly record?: CacheRecord | undefined
  /** Of a step: a record found under it that does not count. */
  readonly unusable?: Miss['unusable']
}

/** What a vertex gave, and how it counts. */
export interface Resolved<R> {
  readonly result: R
  /** Undefined for a source without a key. */
  readonly input: KeyedInput | undefined
}

/** An input that counts by what made it. */
export type KeyedInput = Exclude<RecordedInput, { kind: 'content' }>

/** A vertex of the graph, and how far it is. */
export interface State<R> {
  readonly vertex: Vertex
  readonly op: SolverOp<R>
  readonly inputs: readonly State<R>[]
  keyed: Promise<Keyed> | undefined
  resolved: Promise<Resolved<R>> | undefined
  /** What it counts as, as far as that is known by now. */
  counts: KeyedInput | undefined
  /** What its inputs counted as when it was looked up, found or made. */
  by: readonly (RecordedInput | undefined)[] | undefined
  /** Whether its result was brought back. */
  found: boolean
  /** How it was made or brought back. */
  solved: SolvedStep<R> | undefined
  /** What is read of inputs that have no key, by their place: of each once. */
  readonly contents: Map<number, Promise<RecordedInput>>
}

/** One solution under way. */
export interface Run<R> extends SolveOptions<R> {
  readonly abort: AbortController
  readonly limit: LimitFunction
  /** For digests of what steps read: each takes a process. It waits for nothing else. */
  readonly reading: LimitFunction
  /** For those that have their lock, or want it: they wait for their turn, run, or are made durable. */
  readonly locking: LimitFunction
  readonly commits: Promise<void>[]
  readonly running: Set<Digest>
  readonly reported: WeakSet<Error>
  cached: number
  executed: number
  failure: unknown
}

/** How a vertex counts. Its look-up is under way before anything is resolved. */
export function keyedOf<R>(state: State<R>): Promise<Keyed> {
  return (
    state.keyed ??
    Promise.reject(new InternalError('ERR_INTERNAL', `"${state.vertex.name}" is not looked up`))
  )
}

/** What a source counts as; undefined for one that only its content can tell. */
export function sourceInput<R>({ key }: SourceOp<R>): KeyedInput | undefined {
  return key === undefined ? undefined : { kind: 'source', key }
}

/** What a view counts as: its inputs. Undefined while one of them has no key. */
export function viewInput<R>(
  op: ViewOp<R>,
  inputs: readonly (KeyedInput | undefined)[],
): KeyedInput | undefined {
  const keyed = inputs.filter((input) => input !== undefined)
  return keyed.length < inputs.length ? undefined : { kind: 'result', key: definitionKey(op.key, keyed) }
}

/** Of what there is for each input, what there is for those that a stored result builds upon. */
export function basesOf<R, T>(state: State<R>, op: StepOp<R>, ofInputs: readonly T[]): readonly T[] {
  return op.bases.map((index) => {
    const base = ofInputs[index]
    if (base !== undefined) return base
    throw new InternalError('ERR_INTERNAL', `"${state.vertex.name}" has no input ${index}`)
  })
}

/** Notes the first failure, cancels the rest, and gives the error its place in the Dockerfile. Idempotent. */
export function fail<R>(run: Run<R>, state: State<R>, error: unknown): unknown {
  if (error instanceof Error && run.reported.has(error)) return error
  const { digest, source } = state.vertex
  const wasRunning = run.running.delete(digest)
  if (run.signal.aborted) {
    if (wasRunning) run.events({ type: 'vertex.cancelled', vertex: digest, at: run.now() })
    return report(run, new UserError('ERR_CANCELLED', 'The build was cancelled'))
  }
  if (run.isPassing?.(error) === true) {
    run.events({ type: 'vertex.cancelled', vertex: digest, at: run.now() })
    run.failure = error
    run.abort.abort()
    return report(run, error)
  }
  const located = source === null ? error : withSource(error, source)
  const message = error instanceof Error ? error.message : String(error)
  run.events({ type: 'vertex.failed', vertex: digest, error: message, at: run.now() })
  run.failure = located
  run.abort.abort()
  return report(run, located)
}

/** The readers of a failed vertex fail with the same error and say nothing. */
function report<R>(run: Run<R>, error: unknown): unknown {
  if (error instanceof Error) run.reported.add(error)
  return error
}

/** Says that a vertex is at work now. @returns when */
export function started<R>(run: Run<R>, vertex: Digest): number {
  const at = run.now()
  run.running.add(vertex)
  run.events({ type: 'vertex.started', vertex, at })
  return at
}

/** How a vertex was done. */
export interface Ended {
  /** Now, if not said. */
  readonly at?: number
  /** Whether it made what is recorded of it. */
  readonly unchanged?: boolean
}

/** Says that a vertex is done. */
export function complete<R>(run: Run<R>, vertex: Digest, ended: Ended = {}): void {
  run.running.delete(vertex)
  const { at = run.now(), unchanged = false } = ended
  run.events({ type: 'vertex.completed', vertex, ...(unchanged ? { unchanged } : {}), at })
}
