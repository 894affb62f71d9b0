import { type ChainId, type DiffId, parseDigest } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import type { Cancellable, Compression, Finishing, LayerForm, Native, Root, Staged } from '@tsbuild/native'
import type { RecordWrite, SnapshotId, Store } from '@tsbuild/store'
import type { CachedLayers } from './cached-layers.ts'
import { conversionKey, convertLayer } from './convert-layer.ts'
import { makeLayerBlob } from './layer-blob.ts'
import { createLayerFetches, type FetchLayer } from './layer-fetches.ts'
import { type LayerBlob, layerBlobOf, storedForm, storedLayer } from './layer-format.ts'
import type { CachedLayerRef, Filesystem, ImageLayerRef } from './layers.ts'
import { createLowerDirectories, type EarlyDirectories } from './lower-directories.ts'
import { memoised } from './memoised.ts'
import { createMergedRuns, type MergingLimits } from './merged-runs.ts'
import { chainKey, unpackedRecord, unpackedSnapshot } from './unpacked-places.ts'

/** What the snapshotter needs from outside. */
export interface SnapshotterOptions {
  readonly store: Store
  readonly native: Native
  /** Brings the blob of an image's layer into the store; called once for each layer that is not there. */
  readonly fetch: FetchLayer
  /** Undefined: there are no layers of caches elsewhere. */
  readonly cached?: CachedLayers | undefined
  /** Other limits than those that were measured; for tests. */
  readonly merging?: MergingLimits | undefined
}

/** A snapshot that a step changes. Ends in exactly one of `commit`, `keep` and `release`. */
export interface PreparedSnapshot {
  readonly id: SnapshotId
  readonly root: Root
  /** For the operation of {@link Native} that changes it. */
  readonly finishing: Pick<Finishing, 'finish' | 'layerFd'>
  /** Makes the snapshot, its layer and its records durable, once what it stands upon is. */
  commit(records: readonly RecordWrite[], following: Following): Promise<void>
  /** Keeps it as a failure; see `SnapshotDraft.keep`. @returns whether it was kept; deleted otherwise */
  keep(ref: string, text: string): Promise<boolean>
  /** Deletes it. */
  release(): Promise<void>
}

/** What follows the outcome of the operation that changes a snapshot. */
export type Following = Pick<Staged<'copy' | 'run'>, 'content' | 'finished'>

/** See {@link Snapshotter.overlay}. */
export type Overlay = Pick<PreparedSnapshot, 'root' | 'release'>

/** Turns described file systems into trees, and trees into layers. Safe for concurrent use. */
export interface Snapshotter {
  /**
   * A writable snapshot over a file system.
   * @param layer the form in which its layer will be wanted: it is written as soon as the step has ended
   */
  prepare(base: Filesystem, signal: AbortSignal, layer?: LayerForm): Promise<PreparedSnapshot>
  /**
   * A writable root upon trees that are there, topmost first. What is written to it is thrown away by `release`.
   * The trees must not change meanwhile.
   */
  overlay(lower: readonly string[]): Promise<Overlay>
  /** A read-only view of a file system, unpacked as far as needed. */
  view(filesystem: Filesystem, signal: AbortSignal): Promise<Root>
  /**
   * The topmost layer of a file system as a snapshot, unpacked as far as needed.
   * @throws {InternalError} `ERR_INTERNAL` for a file system without layers
   */
  topmost(filesystem: Filesystem, signal: AbortSignal): Promise<SnapshotId>
  /** As what a layer of a cache was unpacked, if it was. */
  unpackedAs(layer: CachedLayerRef): SnapshotId | undefined
  /** The layer blob of a snapshot in a form; made and stored on the first call. */
  layerBlob(id: SnapshotId, form: LayerForm, options: Cancellable): Promise<LayerBlob>
  /**
   * The layer of an image in another compression: fetched if need be, verified, made and stored on the first call, and found
   * by later builds. Always written anew, whatever the layer is compressed with now: nobody can tell its level. Times are left
   * as they are: they are those of the image.
   *
   * @throws {UserError} `ERR_UNSUPPORTED` for a media type that is no layer's; `ERR_LAYER_UNREPRESENTABLE` for what estargz
   *   cannot hold; what unpacking a layer throws
   */
  convertLayer(layer: ImageLayerRef, compression: Compression, options: Cancellable): Promise<LayerBlob>
  /** Notes that stacks of layers are unpacked already: they were made here. */
  adopt(
    stacks: readonly { readonly chain: ChainId; readonly id: SnapshotId; readonly diffId: DiffId }[],
  ): Promise<void>
  /** Gives up what is done in the background for later steps, and resolves when nothing is. Before the store is closed. */
  close(): Promise<void>
}

/** Creates a snapshotter over one store. */
export function createSnapshotter(options: SnapshotterOptions): Snapshotter {
  const blobs = new Map<string, Promise<LayerBlob>>()
  const runs = createMergedRuns(options)
  const fetches = createLayerFetches(options.store, (layer, signal, watcher) => {
    if (layer.kind === 'image') return options.fetch(layer, signal, watcher)
    if (options.cached !== undefined) return options.cached.fetch(layer, signal, watcher)
    throw new InternalError('ERR_INTERNAL', 'there is no cache to fetch a layer from')
  })
  const lowers = createLowerDirectories({ ...options, fetches }, runs)
  return {
    async prepare(base, signal, layer) {
      const prepared = await prepareSnapshot(options.store, await lowers.early(base, signal), layer)
      if (layer !== undefined) {
        const key = blobKey(prepared.id, layer)
        // Kept also where it fails: the snapshot is not committed then, and nothing may be made of its tree.
        blobs.set(key, prepared.blob)
      }
      return prepared
    },
    async overlay(lower) {
      const draft = await options.store.snapshots.draft()
      return {
        root: { lower, upper: draft.upper, work: draft.work },
        release: () => draft.release(),
      }
    },
    async view(filesystem, signal) {
      return { lower: await lowers(filesystem, signal), upper: null, work: null }
    },
    unpackedAs: (layer) => lowers.unpackedAs(layer),
    async topmost(filesystem, signal) {
      const id = (await lowers.stack(filesystem, signal)).at(-1)
      if (id === undefined) throw new InternalError('ERR_INTERNAL', 'a file system has no layer')
      return id
    },
    layerBlob(id, form, cancellable) {
      return memoised(blobs, blobKey(id, form), () => makeLayerBlob(options, id, form, cancellable))
    },
    convertLayer(layer, compression, cancellable) {
      return memoised(blobs, conversionKey(layer, compression), () =>
        convertLayer(options, layer, compression, cancellable),
      )
    },
    async adopt(stacks) {
      const { store } = options
      // One whose commit is still under way may come to nothing.
      const unknown = stacks.filter(
        ({ chain, id }) => store.snapshots.has(id) && unpackedSnapshot(store, chainKey(chain)) === undefined,
      )
      if (unknown.length === 0) return
      await store.records.put(
        unknown.map(({ chain, id, diffId }) => unpackedRecord(chainKey(chain), id, diffId)),
      )
    },
    close: () => runs.close(),
  }
}

function blobKey(id: string, form: LayerForm): string {
  const { format, level, clampMtime } = storedForm(form)
  return `${id} ${format} ${level} ${clampMtime}`
}

async function prepareSnapshot(
  store: Store,
  { lower, committed }: EarlyDirectories,
  layer: LayerForm | undefined,
): Promise<PreparedSnapshot & { readonly blob: Promise<LayerBlob> }> {
  const ingest = layer === undefined ? undefined : await store.blobs.ingest()
  const draft = await store.snapshots.draft()
  let settle: (blob: LayerBlob) => void = () => {}
  let fail: (error: unknown) => void = () => {}
  const blob = new Promise<LayerBlob>((resolve, reject) => {
    settle = resolve
    fail = reject
  })
  // Nobody may ask for it.
  blob.catch(() => {})
  /** Without a layer. */
  const end = async <T>(how: () => Promise<T>): Promise<T> => {
    fail(new InternalError('ERR_INTERNAL', 'the step of a layer failed'))
    const [ended] = await Promise.all([how(), ingest?.abort()])
    return ended
  }
  return {
    id: draft.id,
    root: { lower, upper: draft.upper, work: draft.work },
    finishing: {
      finish: { content: true, layer: layer ?? null, sync: store.durable },
      layerFd: ingest?.fd,
    },
    blob,
    keep: (ref, text) => end(() => draft.keep(ref, text)),
    release: () => end(() => draft.release()),
    async commit(records, following) {
      try {
        const written = await following.finished
        await committed
        const made =
          written === undefined || layer === undefined
            ? undefined
            : { blob: layerBlobOf(written, layer.compression.format), form: storedForm(layer) }
        const content = await following.content
        if (made === undefined) await ingest?.abort()
        else await ingest?.commit({ digest: made.blob.digest, size: made.blob.size, synced: true })
        await draft.commit(records, {
          synced: true,
          layer: made === undefined ? undefined : { blobs: [storedLayer(made.blob, made.form)] },
          content: content === undefined ? undefined : parseDigest(content),
        })
        if (made !== undefined) settle(made.blob)
      } catch (error) {
        fail(error)
        await ingest?.abort()
        throw error
      }
    },
  }
}
