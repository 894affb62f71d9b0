import type { StoreEntry } from '@tsbuild/store'

/** What an item is to people; BuildKit's words where it has them. */
export const itemKinds = [
  'regular',
  'image',
  'base',
  'source',
  'exec.cachemount',
  'failure',
  'history',
  'internal',
] as const

/**
 * - `regular`: what a step made, with its records and layers
 * - `image`: a named image: its manifests, configuration and layers
 * - `base`: unpacked layers of images, and blobs that no image or step names
 * - `source`: what was fetched from URLs and repositories
 * - `exec.cachemount`: a directory of a cache mount
 * - `failure`: a failed step that is kept for `tsbuild shell`
 * - `history`: a build's log
 * - `internal`: fingerprints, lists of files, quarantine, and what a store is made of
 */
export type ItemKind = (typeof itemKinds)[number]

/** Why something is in nobody's way. */
export type GarbageCode =
  /** Of a process that died. */
  | 'leftover'
  /** A snapshot that no record, failure or image layer names. */
  | 'no-record'
  /** A record whose snapshot is gone. */
  | 'no-snapshot'
  /** Layers in one, of which one is gone. */
  | 'no-lower'
  /** A layer in another compression whose blob is gone. */
  | 'no-blob'
  /** A record that cannot be read. */
  | 'unreadable'
  /** A source that has no name any more, or a name without its tree. */
  | 'superseded'
  /** A list of files that no record names. */
  | 'no-reader'
  /** Damaged, and put aside more than a week ago. */
  | 'quarantined'

/** Why something is no cache and is never planned to go. */
export type FixedCode =
  /** A named image. */
  | 'image'
  /** What a store is made of. */
  | 'fixed'
  /** What a process has under way; what a dead one left is swept when a store is opened. */
  | 'session'
  /** It explains misses, also those that a prune makes. */
  | 'index'

/** How an item comes to its end. */
export type Standing =
  /** It can be made again: goes by its value, after everything that stands upon it. */
  | { readonly as: 'cache' }
  /** It goes with the last item that names it. */
  | { readonly as: 'part' }
  | { readonly as: 'garbage'; readonly code: GarbageCode }
  | { readonly as: 'fixed'; readonly code: FixedCode }

/** Something in a store that stays or goes as one. */
export interface Item {
  /** Hex digits, a path or an image's name; unique in an inventory. */
  readonly id: string
  readonly kind: ItemKind
  /** `[build 2/4] RUN make` */
  readonly description: string
  readonly standing: Standing
  /** What is deleted, the part that may be in use first. */
  readonly entries: readonly StoreEntry[]
  /** Of its entries. */
  readonly bytes: number
  /** Unix ms. */
  readonly createdMs: number
  readonly usedMs: number
  /** What it takes to make it again: measured for steps, else estimated. */
  readonly rebuildMs: number
  /** Indexes of items that it is of no use without: it goes before them. */
  readonly below: readonly number[]
  /** Indexes of its parts. */
  readonly parts: readonly number[]
}

/** What lies in a store, and what needs what. */
export interface Inventory {
  readonly items: readonly Item[]
  /** Of all entries: what `du` says of the root. */
  readonly totalBytes: number
  /** Names of images that cannot be read: while there are any, no blob is deleted, as it may be theirs. */
  readonly unreadableImages: readonly string[]
}

/**
 * How far a prune reaches.
 * - `unused`: what builds can make again, except what named images were built from
 * - `all`: these too, failed steps, and what is internal
 * - `everything`: and the history
 */
export type Reach = 'unused' | 'all' | 'everything'

/** What a prune is to do. Without a limit everything in reach goes. */
export interface PrunePolicy {
  /** Default `unused`. */
  readonly reach?: Reach | undefined
  /** Items that do not match stay. See {@link parseFilters}. */
  readonly filter?: ItemFilter | undefined
  /** What was used within this time stays. */
  readonly olderThanMs?: number | undefined
  /** A floor: when so much is left, the rest stays. */
  readonly keepBytes?: number | undefined
  /** A ceiling: it ends when no more than this is left. */
  readonly maxUsedBytes?: number | undefined
  /** It ends when so much is free on the file system. */
  readonly minFreeBytes?: number | undefined
}

/** A choice of items. */
export interface ItemFilter {
  matches(item: Item, shared: boolean): boolean
  /** Those that it asks for by `type=`: these need no wider reach. */
  readonly kinds: readonly ItemKind[]
  /** Of `until=` and `unused-for=`. */
  readonly olderThanMs?: number | undefined
}

/** Why an item goes or stays. {@link reasonText} says it in words. */
export type Reason =
  | { readonly code: 'garbage'; readonly garbage: GarbageCode }
  /** It is in reach, and no limit says how much is to go. */
  | { readonly code: 'unused'; readonly unusedMs: number }
  | {
      readonly code: 'least-valuable'
      readonly rebuildMs: number
      readonly bytes: number
      readonly unusedMs: number
    }
  /** Nothing that is left names it. */
  | { readonly code: 'part-of-removed' }
  | { readonly code: 'in-use' }
  | { readonly code: 'recent'; readonly unusedMs: number; readonly olderThanMs: number }
  | { readonly code: 'image'; readonly image: string }
  | { readonly code: 'image-step'; readonly image: string }
  | { readonly code: 'image-unreadable'; readonly image: string }
  | { readonly code: 'part-of'; readonly item: string }
  | { readonly code: 'below'; readonly count: number; readonly item: string }
  | { readonly code: 'filter' }
  | { readonly code: 'reach'; readonly kind: ItemKind }
  | { readonly code: 'enough' }
  | { readonly code: 'fixed'; readonly fixed: FixedCode }

/** What is to become of an item. */
export interface Decision {
  readonly item: Item
  readonly keep: boolean
  readonly reason: Reason
}

/** What a prune would do. */
export interface Plan {
  /** One for each item that is left, in the order of the inventory. */
  readonly decisions: readonly Decision[]
  /** Indexes of the items that go, in this order: an item before what it stands upon and before its parts. */
  readonly order: readonly number[]
  /** Why, by index; of those that go. */
  readonly reasons: ReadonlyMap<number, Reason>
  readonly freedBytes: number
}
