import type { ItemKind, KindUsage, Reason, SpaceLimit, SpaceLimits } from '@tsbuild/gc'

export type { SpaceLimit, SpaceLimits }

/** Something in the store that stays or goes as one. Plain data. */
export interface SpaceItem {
  /** Hex digits, a path, or an image's name. */
  readonly id: string
  readonly kind: ItemKind
  /** `[build 2/4] RUN make` */
  readonly description: string
  /** On disk, layers and lists that it names included. */
  readonly sizeBytes: number
  /** Of these, what others need too. */
  readonly sharedBytes: number
  /** Unix ms. */
  readonly createdAt: number
  /** Unix ms, to the minute. */
  readonly usedAt: number
  /** How long it takes to make it again: measured for steps, else estimated. */
  readonly rebuildMs: number
  /** By a process that runs now, as far as can be seen. */
  readonly inUse: boolean
  /** Whether `prune --all` would remove it, and why or why not. */
  readonly reclaimable: boolean
  readonly reason: PruneReason
}

/** Why something goes or stays. */
export interface PruneReason {
  /** Stable. */
  readonly code: Reason['code']
  /** `used 3 h ago, within 1 d` */
  readonly text: string
}

/** See `Builder.diskUsage`. */
export interface DiskUsageReport {
  /** The largest first. */
  readonly items: readonly SpaceItem[]
  /** Each file counts once. */
  readonly kinds: readonly KindUsage[]
  readonly totalBytes: number
  readonly sharedBytes: number
  readonly reclaimableBytes: number
  /** Of the file system. */
  readonly disk: { readonly totalBytes: number; readonly freeBytes: number }
}

/** What of the store is meant. */
export interface PruneChoice {
  /** Also what named images were built from, kept failures and what is internal. */
  readonly all?: boolean | undefined
  /** `type=regular`, `until=24h` and so on; all have to match. @see docs/reference/prune.md */
  readonly filters?: readonly string[] | undefined
  /** What was used within this time stays: `36h`, `7d`. */
  readonly olderThan?: string | undefined
  /** The least that is left of the store. */
  readonly keep?: SpaceLimit | undefined
  /** It ends when the store takes no more than this. */
  readonly maxUsed?: SpaceLimit | undefined
  /** It ends when so much of the disk is free. */
  readonly minFree?: SpaceLimit | undefined
}

/** See `Builder.prune`. */
export interface PruneRequest extends PruneChoice {
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean | undefined
  /** Called for each item when it is gone. */
  readonly onRemoved?: ((removed: PrunedItem) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a prune removed, or would. */
export interface PrunedItem extends Pick<SpaceItem, 'id' | 'kind' | 'description'> {
  readonly freedBytes: number
  readonly reason: PruneReason
}

/** What a prune did, or would do. */
export interface PruneResult {
  readonly removed: readonly PrunedItem[]
  /** What stays, and why. */
  readonly kept: readonly (Pick<SpaceItem, 'id' | 'kind' | 'description' | 'sizeBytes'> & {
    readonly reason: PruneReason
  })[]
  readonly freedBytes: number
  /** What the store takes then. */
  readonly totalBytes: number
}
