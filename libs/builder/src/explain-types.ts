import type { Difference, Explanation } from '@tsbuild/cache'
import type { Digest } from '@tsbuild/digest'
import type { CacheSource, MissReason, TransferOutcome } from '@tsbuild/events'
import type { BuildRecord } from '@tsbuild/history'

/** See `Builder.explain`. */
export interface ExplainOptions {
  /** As of `Builder.buildRecord`. */
  readonly ref?: string | undefined
  /** Only this step; as of `Builder.buildLog`. */
  readonly step?: string | undefined
  /** Names the largest files that were read of contexts. */
  readonly context?: boolean | undefined
}

/** See `Builder.explain`. */
export interface ExplainReport {
  readonly build: Pick<BuildRecord, 'ref' | 'name' | 'startedAt' | 'outcome'>
  readonly misses: readonly ExplainedMiss[]
  readonly hits: readonly ExplainedHit[]
  /** What pushes did with the blobs of images. */
  readonly exports: readonly ExplainedTransfer[]
  /** The largest first. Of a step that was cached when no list of its files was kept any more, nothing is known. */
  readonly context?: readonly ContextFile[] | undefined
}

/** A step that had to run. */
export interface ExplainedMiss {
  readonly number: number
  readonly vertex: Digest
  readonly name: string
  readonly reason: MissReason
  /** What it was compared with; null where there was nothing, or nothing is kept of it. */
  readonly earlier: Explanation['earlier']
  /** The step that it comes from, where that is another one. */
  readonly cause: Explanation['cause']
  /** Null where no comparison is kept. */
  readonly differences: readonly Difference[] | null
  /** The differences as lines to be read. */
  readonly text: readonly string[]
}

/** A step that was found. */
export interface ExplainedHit {
  readonly number: number
  readonly vertex: Digest
  readonly name: string
  readonly from: CacheSource
  /** How long it took when it was made. */
  readonly savedMs: number | null
}

/** A blob of a push. */
export interface ExplainedTransfer {
  /** Of the export, as shown to the user. */
  readonly step: string
  readonly blob: string
  readonly bytes: number | null
  readonly outcome: TransferOutcome
}

/** A file that a step read. */
export interface ContextFile {
  readonly path: string
  readonly bytes: number
  readonly step: string
  /** What it was read of, as shown to the user. */
  readonly from: string
}
