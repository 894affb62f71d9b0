/**
 * Everything that lies in a store, for whoever decides what stays: `libs/gc`. What an entry means, and which others it needs, is
 * not the store's to know.
 */
export interface StoreSpace {
  /**
   * Every file and directory below the root belongs to exactly one entry, so the sum of the sizes is what `du` says of the root.
   * A list of a store in use: an entry may be gone by now, and new ones are missing.
   */
  list(): Promise<readonly StoreEntry[]>
  /**
   * Deletes entries, each atomically for readers and `kill -9`: it is there, or it is gone. What another process or this one
   * uses stays: whoever found a snapshot, blob or source through this API holds a shared kernel lock on it until its store
   * is closed, `releaseUses` is called or it dies.
   * @param still asked of each blob while nobody else can have it: whether it is to go after all. It may have been named since the list was
   *   made, by somebody who does not use it any more; `changed` then
   * @returns one answer for each entry, in order; `changed`: it is no longer what was listed (a record under the same key)
   */
  remove(entries: readonly StoreEntry[], still?: (blob: StoreEntry) => boolean): Promise<readonly Removal[]>
  /** Whether a process of this machine uses an entry, as far as can be seen; a guess, and `remove` knows. In order. */
  inUse(entries: readonly StoreEntry[]): readonly boolean[]
  /** What {@link StoreSpace.setAccount} wrote, by whatever process; undefined where there is nothing that can be read. */
  account(): string | undefined
  /** Keeps a short text beside the index of records. Atomic for readers, not synced, best effort. */
  setAccount(text: string): void
  /** Of the file system the store is on. */
  disk(): { readonly totalBytes: number; readonly freeBytes: number }
}

/** See {@link StoreSpace.remove}. */
export type Removal = 'removed' | 'in-use' | 'gone' | 'changed'

/** One thing in a store. */
export interface StoreEntry {
  readonly kind: StoreEntryKind
  /** Names it among its kind: the hex of a digest, an id, a path below `v1`. */
  readonly id: string
  /** On disk, directories included: allocated blocks, as `du` counts. */
  readonly bytes: number
  /** Unix ms. */
  readonly createdMs: number
  /** When a build last found it, to the minute. */
  readonly usedMs: number
  /** Tells it from a later one of the same name. */
  readonly inode: number
  /**
   * Of a record or a source's name: its text. Of a snapshot: its `layer.json`. Of a cache mount, failure or build: its metadata.
   * Undefined where there is none (any more). Read when asked for.
   */
  text(): string | undefined
}

/** What lies in a store. */
export type StoreEntryKind =
  | 'record'
  | 'snapshot'
  | 'blob'
  /** A tree of `sources/trees`; a name of `sources/names`; a directory of `sources/work`. */
  | 'source'
  | 'source-name'
  | 'source-work'
  /** `<name>/<number>` */
  | 'cache-mount'
  | 'failure'
  | 'file-list'
  /** Below `cache`: made again when it is missing. */
  | 'cache-file'
  /** Below `index`: made again from the records. */
  | 'index'
  /** `builds/<ref>` */
  | 'build'
  | 'quarantine'
  /** `ingest/<session>`, of a live or dead process. */
  | 'session'
  /** A directory of `snapshots`, `sources/trees` or `failures` without its marker, and whose session is gone. */
  | 'leftover'
  /** What a store is made of, and files that nobody of ours made: never removed. */
  | 'fixed'
