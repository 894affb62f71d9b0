import type { CacheConfig } from '@tsbuild/buildkit-cache'
import type { StepResult } from '@tsbuild/cache-protocol'

/**
 * What a cache in a registry, in a directory or in an image knows: BuildKit's records, and ours beside them.
 * @see docs/adr/0039-cache-in-a-registry.md
 */
export interface CacheIndex {
  readonly buildkit: CacheConfig
  readonly steps: readonly IndexedStep[]
  /** Members of the config that neither of the two reads: of a later version. Kept. */
  readonly others: Readonly<Record<string, unknown>>
}

/** A step of a {@link CacheIndex}. */
export interface IndexedStep extends StepResult {
  /** Unix ms: of the newest export that had it, to a day. Who is to go is the one that was used the longest time ago. */
  readonly usedAt: number
}

/** An index that knows nothing. */
export const emptyIndex: CacheIndex = { buildkit: { layers: [], records: [] }, steps: [], others: {} }
