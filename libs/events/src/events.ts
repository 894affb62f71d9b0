import type { Digest } from '@tsbuild/digest'
import type { SourceRange } from '@tsbuild/errors'

/** Milliseconds since the Unix epoch. */
export type Millis = number

/** Why a step was not found in the cache. @see docs/guide/explain.md */
export interface MissReason {
  readonly code: MissCode
  /** A few words for a progress line: `package.json changed`, `ARG VERSION 1 → 2`. */
  readonly text: string
}

/** What a miss comes from; stable. */
export type MissCode =
  /** Nothing like this step was ever recorded. */
  | 'first-build'
  /** The instruction, or something that counts in its key: arguments, variables, user, mounts, platform. */
  | 'instruction'
  | 'arg'
  | 'env'
  /** Files that it reads. */
  | 'files'
  /** The image below it is another one. */
  | 'base-image'
  /** A step below it made something else. */
  | 'input'
  /** A secret that counts (`cache=content`). */
  | 'secret'
  /** `--no-cache`, `--no-cache-filter`, `RUN --cache=off`. */
  | 'forced'
  /** `RUN --cache=ttl=…` */
  | 'expired'
  /** It was recorded, and a prune removed it. */
  | 'evicted'
  /** It was recorded, and what is on the disk is no longer that. */
  | 'damaged'

/**
 * What a vertex is: a step, which is looked up in the cache; a source, which exists already and is brought in; a view, see
 * `vertex.planned`; or work of the builder's own.
 */
export type VertexRole = 'step' | 'source' | 'view' | 'internal'

/** What a step read of an input, where that counts by content: the digest of it. @see docs/dev/cache-keys.md */
export interface ContentRead {
  /** The vertex that it was read of. */
  readonly input: Digest
  readonly content: Digest
}

/** What became of something that was to be sent: it was, or it was there, or it was taken over from elsewhere there. */
export type TransferOutcome = 'sent' | 'exists' | 'mounted'

/** Where a cached result came from. */
export type CacheSource = 'local' | 'remote'

/**
 * Everything a build says while it runs. Plain JSON-able values, except the bytes of `vertex.log`, which the NDJSON form
 * writes as base64. A vertex is named by its definition digest; every vertex that starts or is cached ends in exactly
 * one of `vertex.cached`, `vertex.completed`, `vertex.failed` and `vertex.cancelled`. One exception: where a prune removed what another
 * step needs, a step that was cached or completed may run once more, and ends once more (docs/dev/solver.md).
 */
export type BuildEvent =
  | { readonly type: 'build.started'; readonly ref: string; readonly name: string; readonly at: Millis }
  | {
      /** A vertex exists; comes once for each, before anything else of it. `inputs` come before their readers. */
      readonly type: 'vertex.planned'
      readonly vertex: Digest
      readonly name: string
      readonly inputs: readonly Digest[]
      readonly source: SourceRange | null
      /** It has no work of its own, like the merge behind a linked copy: a display for people leaves it out. */
      readonly view?: true
      /** Absent for a step. */
      readonly role?: Exclude<VertexRole, 'step'>
      readonly at: Millis
    }
  | { readonly type: 'vertex.started'; readonly vertex: Digest; readonly at: Millis }
  | {
      readonly type: 'vertex.cached'
      readonly vertex: Digest
      readonly from: CacheSource
      /** Of `remote`: the cache that has it, as it was given. */
      readonly cache?: string
      /** How long the step took when it was recorded; absent where nobody knows. */
      readonly savedMs?: number
      /** Absent where nothing counts by content. */
      readonly reads?: readonly ContentRead[]
      readonly at: Millis
    }
  /** The step has to run, and why; comes before `vertex.started`. */
  | {
      readonly type: 'vertex.missed'
      readonly vertex: Digest
      readonly reason: MissReason
      /** Absent where nothing counts by content. */
      readonly reads?: readonly ContentRead[]
      readonly at: Millis
    }
  /** Sent when the result is durable; `at` is when the step had run, so it may be before the `at` of events sent earlier. */
  | {
      readonly type: 'vertex.completed'
      readonly vertex: Digest
      /** It was forced to run, and made what is recorded of it. Said of copies and the like, never of a RUN. */
      readonly unchanged?: true
      readonly at: Millis
    }
  /** What the process of a step used; comes before its end, and for a step that failed too. */
  | {
      readonly type: 'vertex.usage'
      readonly vertex: Digest
      readonly userMicros: number
      readonly systemMicros: number
      /** Of the whole step where its cgroup counts it, else of its largest process. */
      readonly peakMemoryBytes: number
      /** From and to block devices. */
      readonly readBytes: number
      readonly writtenBytes: number
      readonly at: Millis
    }
  | { readonly type: 'vertex.failed'; readonly vertex: Digest; readonly error: string; readonly at: Millis }
  | { readonly type: 'vertex.cancelled'; readonly vertex: Digest; readonly at: Millis }
  | {
      readonly type: 'vertex.log'
      readonly vertex: Digest
      readonly stream: 'stdout' | 'stderr'
      readonly data: Uint8Array
      readonly at: Millis
    }
  | {
      /** A part of a vertex that takes time by itself: `transferring context`, `exporting layers`, `sha256:ab…`. */
      readonly type: 'vertex.status'
      readonly vertex: Digest
      readonly id: string
      readonly currentBytes: number
      readonly totalBytes: number | null
      readonly done: boolean
      /** What became of a blob of a push, when it is done. */
      readonly outcome?: TransferOutcome
      readonly at: Millis
    }
  | {
      /** Another process does this work; shown when it lasts. */
      readonly type: 'vertex.waiting'
      readonly vertex: Digest
      readonly reason: string
      readonly at: Millis
    }
  | {
      readonly type: 'warning'
      /** A lint rule, or a stable name of a notice. */
      readonly rule: string
      readonly message: string
      readonly source: SourceRange | null
      /** What a lint rule wants, and the page about it below the documentation's root; absent for other notices. */
      readonly summary?: string
      readonly page?: string
      readonly at: Millis
    }
  | { readonly type: 'build.completed'; readonly ref: string; readonly at: Millis }
  | {
      readonly type: 'build.failed'
      readonly ref: string
      readonly code: string
      readonly message: string
      readonly at: Millis
    }

/**
 * Takes events as they happen. It must not throw and must not block: a slow terminal drops `vertex.status` and nothing
 * else.
 */
export type EventSink = (event: BuildEvent) => void
