import type { DiffId, Digest } from '@tsbuild/digest'
import type { Descriptor } from '@tsbuild/oci'
import type { RecordWrite, Store } from './types.ts'

declare const snapshotIdBrand: unique symbol
/** Names a directory below `v1/snapshots`: 32 lowercase hex digits. */
export type SnapshotId = string & { readonly [snapshotIdBrand]: true }

/** A snapshot on its way: `upper` is overlayfs's upper directory. Ends in exactly one of `commit`, `keep` and `release`. */
export interface SnapshotDraft {
  readonly id: SnapshotId
  /** `v1/snapshots/<id>/fs`; keeps this path when it is committed. */
  readonly upper: string
  readonly work: string
  /**
   * Hands the snapshot and the records that name it to the next group commit, and resolves when all is durable:
   * data, then the snapshot, then the records. Readers of this process may use `upper` at once, before it resolves.
   */
  commit(records: readonly RecordWrite[], options?: DraftCommitOptions): Promise<void>
  /**
   * Makes it the failure `ref` (24 lowercase hex digits), which stays while it is among the newest. Atomic with regard to
   * other processes and to `kill -9`, and not synced: a power cut may lose it. The first failure of a ref stays.
   * @param text of the failure, readable by whoever reads the store
   * @returns whether it was kept; deleted otherwise
   */
  keep(ref: string, text: string): Promise<boolean>
  /** Deletes it. */
  release(): Promise<void>
}

/** See {@link SnapshotDraft.commit}. */
export interface DraftCommitOptions {
  /** The tree is durable already; the file system is not synced again for it. */
  readonly synced?: boolean | undefined
  /** What is known of its layer form; the blobs are in the store. */
  readonly layer?: LayerInfo | undefined
  /** See {@link SnapshotStore.content}. The commit waits for a promise of it, and so does {@link Store.close}. */
  readonly content?: Digest | Promise<Digest | undefined> | undefined
}

/** How a committed snapshot looks as a layer, once somebody asked. */
export interface LayerInfo {
  /** Its blobs, one for each form made so far. */
  readonly blobs: readonly StoredLayer[]
}

/** A blob of a snapshot's layer. */
export interface StoredLayer extends Descriptor {
  /** Of its tar. Clamped times make another one, and so does estargz. */
  readonly diffId: DiffId
  /** As what it was written; undefined where that is not known: it came with an image. */
  readonly form: StoredForm | undefined
}

/** As what a layer was written. @see LayerForm of libs/native */
export interface StoredForm {
  /** The format and, behind a dot, which of our encoders of it wrote the blob where it is not the first one: `gzip.2`. */
  readonly format: string
  readonly level: number
  /** Unix seconds. */
  readonly clampMtime: number | null
}

/** Committed snapshots: one layer's tree each, never changed again. */
export interface SnapshotStore {
  draft(): Promise<SnapshotDraft>
  /** The tree of a snapshot. */
  path(id: SnapshotId): string
  /** Whether it is committed. Synchronous and cheap: asked for each cached step. */
  has(id: SnapshotId): boolean
  layer(id: SnapshotId): LayerInfo | undefined
  /** The content digest that its tree had when it was committed, where that is known: not where it was made before there were any. */
  content(id: SnapshotId): Digest | undefined
  /** Adds what is known of its layer form; blobs of other forms are kept. */
  setLayer(id: SnapshotId, layer: LayerInfo): Promise<void>
}
