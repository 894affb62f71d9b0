import type { Digest, KeyValue } from '@tsbuild/digest'
import type { EventSink, MissReason } from '@tsbuild/events'
import type { MergedGraph, Vertex } from '@tsbuild/graph'

/**
 * What the solver needs to know of a step. It knows no files, containers or images: `R` is opaque to it.
 */
export type SolverOp<R> = SourceOp<R> | StepOp<R> | ViewOp<R>

/** Describes something that exists already. It is never recorded, and nothing is fetched by describing it. */
export interface SourceOp<R> {
  readonly kind: 'source'
  /** What its readers' keys are made from; undefined if only the content that they read can tell (a directory). */
  readonly key: KeyValue | undefined
  describe(context: ExecuteContext): Promise<R>
}

/**
 * Puts results together without any work: it is never run and never recorded, and counts as its inputs count. Each input
 * is a step, a view or a source with a key.
 */
export interface ViewOp<R> {
  readonly kind: 'view'
  /** The kind and version of the op, and all of it that counts, its inputs excluded. */
  readonly key: KeyValue
  combine(inputs: readonly R[]): R
}

/** Makes something that can be recorded. */
export interface StepOp<R> {
  readonly kind: 'step'
  /** All of the op that counts in its key, its inputs excluded. The kind and version of the op are in it. */
  readonly key: KeyValue
  /** One for each input. */
  readonly inputs: readonly InputKeying<R>[]
  /**
   * Whether equal inputs always give an equivalent result. A pure step that ran again may be followed by steps recorded
   * over its earlier result; one that is not pure may not.
   */
  readonly pure: boolean
  /** Indexes of the inputs that a stored result builds upon, for {@link StepOp.load}. */
  readonly bases: readonly number[]
  /** Readable facts that count in no key and explain a later miss: which variables are build arguments. */
  readonly about?: KeyValue | undefined
  /** How old a record may be that counts, in ms; 0: none does, and what the step makes is recorded all the same. */
  readonly maxAgeMs?: number | undefined
  /** Told which record is used in the place of a run; may warn. */
  found?(record: CacheRecord, context: ExecuteContext): void
  /** Brings a stored result back, or undefined if what it names is gone. */
  load(stored: KeyValue, bases: readonly R[]): R | undefined
  execute(inputs: readonly R[], context: ExecuteContext): Promise<Executed<R>>
}

/** How an input counts in a step's key. */
export interface InputKeying<R> {
  /** Which part of the input the step reads; counts where the input counts by its key. */
  readonly selector?: KeyValue | undefined
  /** Whether the step reads of this input only what `content` digests, so that equal content is an equal input. */
  readonly content?: ((result: R, signal: AbortSignal) => Promise<ContentKey>) | undefined
  /** Keeps what a digest of `content` is made of in readable form, so that a miss can be explained; best effort. */
  readonly keepList?: ((result: R, signal: AbortSignal) => Promise<void>) | undefined
}

/** What a step reads of an input. */
export interface ContentKey {
  readonly digest: Digest
  /** Stored with the record, to explain a later miss. */
  readonly preimage: KeyValue
}

/** What a step gets while it runs, and a source while it is described. */
export interface ExecuteContext {
  readonly vertex: Vertex
  readonly signal: AbortSignal
  readonly events: EventSink
}

/** A step that ran. */
export interface Executed<R> {
  /** Can be used at once. */
  readonly result: R
  /** What {@link StepOp.load} needs to bring it back. Unique to this execution unless the step is pure. */
  readonly stored: KeyValue
  /**
   * Digest of what the step put upon its bases, where that is known: a later run that makes the same upon the same bases
   * counts as this one, so what stands upon it is found. Not used for a forced run.
   */
  readonly content?: Digest | undefined
  /** In the place of {@link StepOp.about}, where there is more to say of a step that ran. */
  readonly about?: KeyValue | undefined
  /** Makes the result and the record durable, in this order. */
  commit(keys: readonly Digest[], record: CacheRecord): Promise<void>
}

/** A recorded step: what was made, and in readable form, of what. */
export interface CacheRecord {
  /** What the steps above count this result as. */
  readonly outputKey: Digest
  readonly name: string
  readonly op: KeyValue
  /** For each input its output key, or the digest and preimage of the content read from it. */
  readonly inputs: readonly RecordedInput[]
  /** Names of the input vertices, as shown to the user; absent in records of before. */
  readonly inputNames?: readonly string[] | undefined
  /** See {@link StepOp.about}. */
  readonly about?: KeyValue | undefined
  readonly stored: KeyValue
  /** Unix ms, when the step had run. */
  readonly createdAt: number
  /** How long it took. */
  readonly durationMs: number
  /** The cache elsewhere that it came from, as shown to the user; undefined for one of this store. */
  readonly from?: string | undefined
}

/** See {@link CacheRecord.inputs}. */
export type RecordedInput =
  | { readonly kind: 'result'; readonly key: Digest; readonly selector?: KeyValue | undefined }
  | { readonly kind: 'source'; readonly key: KeyValue; readonly selector?: KeyValue | undefined }
  | { readonly kind: 'content'; readonly digest: Digest; readonly preimage: KeyValue }

/** A step that has to run. */
export interface Miss {
  readonly vertex: Vertex
  /** See {@link StepOp.key} and {@link StepOp.about}. */
  readonly op: KeyValue
  readonly about: KeyValue | undefined
  /** See {@link StepOp.maxAgeMs}. */
  readonly maxAgeMs?: number | undefined
  /** As they are looked up by content, where they can be, else by key. */
  readonly inputs: readonly RecordedInput[]
  /** Makes the readable form of an input's content findable, where its op can: see {@link InputKeying.keepList}. Does not throw. */
  readonly keepList: (input: number) => Promise<void>
  readonly inputNames: readonly string[]
  /** Under which it was looked for. */
  readonly keys: readonly Digest[]
  /** A record that was found and does not count, and why. */
  readonly unusable?:
    | { readonly record: CacheRecord; readonly why: 'gone' | 'other-base' | 'expired' }
    | undefined
}

/** A step or a view as far as it is known before anything is looked up; inputs stand before their readers. */
export interface PlannedStep {
  readonly vertex: Vertex
  readonly kind: 'step' | 'view'
  /** See {@link StepOp.key}, {@link ViewOp.key}. */
  readonly op: KeyValue
  readonly inputs: readonly PlannedInput[]
  readonly inputNames: readonly string[]
}

/** An input of a {@link PlannedStep}: what it counts as, or the vertex that has to be looked up first. */
export type PlannedInput =
  | RecordedInput
  | { readonly kind: 'step'; readonly vertex: Digest; readonly selector?: KeyValue | undefined }

/** A record that is looked for, and what it would have been made of. */
export interface WantedRecord {
  readonly key: Digest
  readonly vertex: Vertex
  readonly op: KeyValue
  readonly inputs: readonly RecordedInput[]
  readonly inputNames: readonly string[]
}

/** Where records are looked up. */
export interface CacheStore {
  /** @param isUsable said of a record that may be too old: one that is not so is given if there is one, else any */
  load(key: Digest, isUsable?: (record: CacheRecord) => boolean): CacheRecord | undefined
  /**
   * Asked once, before the first {@link load}, with everything that may be looked up: so that caches elsewhere are asked for all of
   * it at once. What they have, `load` gives from then on. Must not reject for a cache that cannot be asked.
   */
  prepare?(steps: readonly PlannedStep[], signal: AbortSignal): Promise<void>
  /**
   * Asks caches elsewhere for a key that {@link prepare} could not know. Must not reject either.
   * @returns whether `load` may give another answer than before
   */
  ask?(wanted: WantedRecord, signal: AbortSignal): Promise<boolean>
  /**
   * Says why a step has to run: compares it with what was recorded. Asked for each step before it runs, after those that it
   * stands on; must not throw. Undefined where nobody can say.
   */
  explain?(miss: Miss): Promise<MissReason | undefined>
  /** A record is durable: it is what the next miss of this step is compared with. Must not throw. */
  recorded?(keys: readonly Digest[], record: CacheRecord): void
  /** Makes a record of another key found under `key` too; best effort, durable later. */
  link(key: Digest, record: CacheRecord): void
}

/** See {@link solve}. */
export interface SolveOptions<R> {
  readonly graph: MergedGraph
  readonly op: (vertex: Vertex) => SolverOp<R>
  readonly cache: CacheStore
  /** Runs `body` while no other process runs a step of the same key; `onWait` is called when that takes long, with who runs it. */
  readonly exclusive: <T>(
    key: Digest,
    body: () => Promise<T>,
    onWait: (who: string) => void,
    signal: AbortSignal,
  ) => Promise<T>
  readonly events: EventSink
  readonly now: () => number
  readonly signal: AbortSignal
  /** How many steps run at once. */
  readonly parallelism: number
  /** Told of each step that ran, when it is durable, and of each whose record is used. Must not throw. */
  readonly onStep?: ((step: SolvedStep<R>) => void) | undefined
  /** Whether a failure is to be followed by another attempt: what it ends is cancelled, and nothing has failed. */
  readonly isPassing?: ((error: unknown) => boolean) | undefined
}

/** A step that has a result, and what is recorded of it. */
export interface SolvedStep<R> {
  readonly vertex: Vertex
  /** The definition key and, where inputs counted by content, the content key. */
  readonly keys: readonly Digest[]
  readonly record: CacheRecord
  readonly result: R
}

/** See {@link solve}. */
export interface Solution<R> {
  /** Of each target, in their order; undefined for one that is nothing. */
  readonly results: readonly (R | undefined)[]
  readonly cached: number
  readonly executed: number
  /** Resolves when every step that ran is recorded durably. */
  readonly durable: Promise<void>
  /**
   * Every step of the graph that ran or is recorded, inputs before their readers: also those whose results nobody needed, as they
   * were brought back. To be asked when `durable` has resolved; runs nothing.
   */
  steps(): Promise<readonly SolvedStep<R>[]>
}
