import { setMaxListeners } from 'node:events'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { type Digest, parseDigest } from '@tsbuild/digest'
import { InternalError, isBuildError } from '@tsbuild/errors'
import type { Native, Staged } from '@tsbuild/native'
import type { SnapshotId, Store, StoredLayer } from '@tsbuild/store'
import { blobToUnpack, type CachedLayers, preferStored } from './cached-layers.ts'
import type { GrowingBlob } from './growing-blob.ts'
import { type Fetching, isCancelled, type LayerFetches } from './layer-fetches.ts'
import { layerFormat, storedLayer } from './layer-format.ts'
import type { BlobRef, CachedLayerRef, Filesystem } from './layers.ts'
import { memoised } from './memoised.ts'
import type { MergedRuns } from './merged-runs.ts'
import { layerLimits, withStoredBlob } from './stored-blob.ts'
import {
  createChains,
  createPlacing,
  type UnpackedPlace,
  unpackedRecord,
  unpackedSnapshot,
} from './unpacked-places.ts'

/** Layers that are unpacked while those below them are made durable; each holds a lock meanwhile. */
const uncommitted = 16
/** Smaller layers are there before anybody could begin to unpack them. */
const growingFromBytes = 1024 * 1024

/** What {@link createLowerDirectories} needs from outside. */
export interface LowerDirectoriesOptions {
  readonly store: Store
  readonly native: Native
  readonly fetches: LayerFetches
  readonly cached?: CachedLayers | undefined
}

/** See {@link createLowerDirectories}. */
export interface LowerDirectories {
  /** The trees of a file system, topmost first, as few of them as there are by now. */
  (filesystem: Filesystem, signal: AbortSignal): Promise<readonly string[]>
  /** The same before all of them are durable. */
  early(filesystem: Filesystem, signal: AbortSignal): Promise<EarlyDirectories>
  /** The snapshots of its layers, lowest first. */
  stack(filesystem: Filesystem, signal: AbortSignal): Promise<readonly SnapshotId[]>
  /** See {@link Snapshotter.unpackedAs}. */
  unpackedAs(layer: CachedLayerRef): SnapshotId | undefined
}

/** See {@link LowerDirectories.early}. */
export interface EarlyDirectories {
  readonly lower: readonly string[]
  /** Resolves when all are durable, before which nothing made upon them may be. Its rejection need not be handled. */
  readonly committed: Promise<void>
}

/**
 * Layers of an image are unpacked from the lowest up: each may need those below it of the same image. What a merge put
 * under the image does not count, or the tree would be no one else's.
 */
export function createLowerDirectories(options: LowerDirectoriesOptions, runs: MergedRuns): LowerDirectories {
  const unpacked = new Map<string, Promise<Unpacked>>()
  const unpackedAs = new WeakMap<CachedLayerRef, SnapshotId>()
  const chained = createChains()
  const paths = async (stack: readonly SnapshotId[], signal: AbortSignal) =>
    (await runs.shorten(stack, signal)).map((id) => options.store.snapshots.path(id)).reverse()
  /** Each is unpacked once; one that could not be made durable, again. */
  const unpackOnce = (unpacking: Unpacking, signal: AbortSignal) =>
    untilDone(signal, () =>
      memoised(unpacked, unpacking.place.key, async () => {
        const made = await unpack(options, unpacking, signal)
        made.committed.catch(() => unpacked.delete(unpacking.place.key))
        return made
      }),
    )
  /** Each is unpacked upon those below it, but all of them can come at a time. */
  const fetchAhead = (layers: Filesystem['layers'], signal: AbortSignal, failed: AbortController) => {
    const placing = createPlacing(chained)
    const stack: (SnapshotId | undefined)[] = []
    let either: AbortSignal | undefined
    for (const layer of layers) {
      if (layer.kind === 'snapshot') {
        placing.snapshot(stack.push(layer.id))
        continue
      }
      const blob = layer.kind === 'image' ? layer : blobToUnpack(layer)
      const place = placing.place(blob, stack)
      const id = place === undefined ? undefined : unpackedSnapshot(options.store, place.key)
      stack.push(id)
      if (id !== undefined || (place !== undefined && unpacked.has(place.key))) continue
      either ??= anyOf(signal, failed.signal)
      options.fetches.begin(blob, either)
    }
  }
  const stackOf = async (layers: Filesystem['layers'], commits: Promise<void>[], signal: AbortSignal) => {
    const stack: SnapshotId[] = []
    const placing = createPlacing(chained)
    for (const layer of layers) {
      if (layer.kind === 'snapshot') {
        placing.snapshot(stack.push(layer.id))
        continue
      }
      const blob = layer.kind === 'image' ? layer : blobToUnpack(layer)
      const place = placing.place(blob, stack)
      if (place === undefined) throw new InternalError('ERR_INTERNAL', 'a layer below is not unpacked')
      const lower = () => paths(stack.slice(place.from), signal)
      const { id, committed } = await unpackOnce({ place, layer: blob, lower }, signal)
      if (layer.kind === 'cached') unpackedAs.set(layer, id)
      if (commits.push(committed) > uncommitted) await commits.shift()
      stack.push(id)
    }
    return stack
  }
  const begin = async ({ layers }: Filesystem, signal: AbortSignal) => {
    const commits: Promise<void>[] = []
    const failed = new AbortController()
    try {
      fetchAhead(layers, signal, failed)
      const stack = await stackOf(layers, commits, signal)
      const committed = Promise.all(commits).then(() => {})
      committed.catch(() => {})
      return { stack, committed }
    } catch (error) {
      failed.abort()
      // A layer that could not be made durable is the reason why what was to be unpacked upon it failed.
      const ended = await Promise.allSettled(commits)
      throw ended.find((one) => one.status === 'rejected')?.reason ?? error
    }
  }
  const unpackAll = async (filesystem: Filesystem, signal: AbortSignal) => {
    const { stack, committed } = await begin(filesystem, signal)
    await committed
    return stack
  }
  const lowers = async (filesystem: Filesystem, signal: AbortSignal) =>
    await paths(await unpackAll(filesystem, signal), signal)
  const early = async (filesystem: Filesystem, signal: AbortSignal) => {
    const { stack, committed } = await begin(filesystem, signal)
    return { lower: await paths(stack, signal), committed }
  }
  return Object.assign(lowers, {
    early,
    stack: unpackAll,
    unpackedAs: (layer: CachedLayerRef) => unpackedAs.get(layer),
  })
}

/** Fires with either of two. Several fetches listen to it in several places each, which is no leak. */
function anyOf(one: AbortSignal, other: AbortSignal): AbortSignal {
  const either = AbortSignal.any([one, other])
  setMaxListeners(0, either)
  return either
}

/** Work that is shared is given up when its first caller is cancelled; the others begin it again. */
async function untilDone<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (signal.aborted || !isCancelled(error)) throw error
    }
  }
}

interface Unpacking {
  readonly place: UnpackedPlace
  readonly layer: BlobRef
  /** The trees that it is unpacked upon, topmost first. */
  readonly lower: () => Promise<readonly string[]>
}

/** A layer that can be used; it is durable, and found by others, when `committed` resolves. */
interface Unpacked {
  readonly id: SnapshotId
  readonly committed: Promise<void>
}

/** Resolves as soon as the layer can be used. */
function unpack(
  options: LowerDirectoriesOptions,
  unpacking: Unpacking,
  signal: AbortSignal,
): Promise<Unpacked> {
  const { store } = options
  const { key, name } = unpacking.place
  const known = unpackedSnapshot(store, key)
  if (known !== undefined) return Promise.resolve({ id: known, committed: Promise.resolve() })
  return new Promise((usable, reject) => {
    const body = async () => {
      const made = unpackedSnapshot(store, key)
      if (made !== undefined) return usable({ id: made, committed: Promise.resolve() })
      const unpacked =
        (await unpackFetching(options, unpacking, signal)) ?? (await unpackWhole(options, unpacking, signal))
      usable(unpacked)
      await unpacked.committed
    }
    store.locks.withLock(`unpack ${name}`, body, { signal }).catch(reject)
  })
}

/**
 * From a blob that is still on its way. Nothing is committed before the helper has verified what it read and the store has
 * the blob.
 *
 * @returns undefined where it is not on its way, or did not come in one go; what was wrong, unpacking it from the store shows
 */
async function unpackFetching(
  options: LowerDirectoriesOptions,
  unpacking: Unpacking,
  signal: AbortSignal,
): Promise<Unpacked | undefined> {
  const fetching = options.fetches.underWay(unpacking.layer)
  if (fetching === undefined) return undefined
  if (unpacking.layer.size >= growingFromBytes && (await fetching.growing.hasBegun())) {
    try {
      return await unpackFrom(options, unpacking, fetching, signal)
    } catch (error) {
      if (signal.aborted) throw error
    }
  }
  // What keeps a blob from coming has been tried often enough, unless somebody else gave it up.
  await fetching.done.catch((error: unknown) => {
    if (signal.aborted || !isCancelled(error)) throw error
  })
  return undefined
}

/** From the blob in the store, which is fetched for it. What a cache elsewhere promised may turn out to be something else. */
async function unpackWhole(
  options: LowerDirectoriesOptions,
  unpacking: Unpacking,
  signal: AbortSignal,
): Promise<Unpacked> {
  const { store, fetches, cached } = options
  const { layer: promised } = unpacking
  const layer = promised.kind === 'image' ? promised : await preferStored(store, promised)
  try {
    return await withStoredBlob({ store, fetch: fetches.fetch }, layer, signal, () =>
      unpackStored(options, { ...unpacking, layer }, signal),
    )
  } catch (error) {
    if (layer.kind === 'image' || signal.aborted || !isOfLayer(error)) throw error
    throw cached?.refuse(layer, error) ?? error
  }
}

/** Whether the bytes are to blame. */
function isOfLayer(error: unknown): boolean {
  return isBuildError(error) && /^ERR_(LAYER_|DIGEST_MISMATCH|SIZE_MISMATCH|UNSUPPORTED)/.test(error.code)
}

/** From the blob in the store. */
async function unpackStored(
  options: LowerDirectoriesOptions,
  unpacking: Unpacking,
  signal: AbortSignal,
): Promise<Unpacked> {
  return await unpackFrom(options, unpacking, undefined, signal)
}

async function unpackFrom(
  { store, native }: LowerDirectoriesOptions,
  { place, layer, lower }: Unpacking,
  fetching: Fetching | undefined,
  signal: AbortSignal,
): Promise<Unpacked> {
  const draft = await store.snapshots.draft()
  const source = fetching?.growing
  let ended: Promise<unknown> = Promise.resolve()
  try {
    const trees = { target: draft.upper, lower: await lower() }
    const applying = await startApply({ store, native, source }, layer, trees, signal)
    ended = applying.finished
    await applying.outcome
    await fetching?.done
    const record = unpackedRecord(place.key, draft.id, layer.diffId)
    const content = contentOf(applying)
    content.catch(() => {})
    const known = { layer: { blobs: [storedBlob(layer)] }, content, synced: true }
    // The tree of one that fails ends with the session: somebody may have it mounted by then.
    const committed = draft.commit([record], known)
    // Whoever uses the layer waits for it too, but maybe not before it fails.
    committed.catch(() => {})
    return { id: draft.id, committed }
  } catch (error) {
    // Nothing may work in it any more.
    await ended.catch(() => {})
    await draft.release()
    throw error
  }
}

/** As what the layer of an image was written, nobody knows. */
function storedBlob(layer: BlobRef): StoredLayer {
  const { diffId, mediaType, digest, size } = layer
  if (layer.kind === 'image') return storedLayer({ diffId, mediaType, digest, size }, undefined)
  const { annotations, form } = layer
  return { diffId, mediaType, digest, size, ...(annotations === undefined ? {} : { annotations }), form }
}

/** Known when the tree is durable. */
async function contentOf({ content, finished }: Staged<'apply'>): Promise<Digest | undefined> {
  await finished
  const digest = await content
  return digest === undefined ? undefined : parseDigest(digest)
}

/** Where the bytes of a layer are read: a blob that still grows, else the one in the store. */
interface LayerSource {
  readonly store: Store
  readonly native: Native
  readonly source: GrowingBlob | undefined
}

/** Unpacks a layer; when the tree is whole, its content is digested and it is made durable, in the same process. */
async function startApply(
  { store, native, source }: LayerSource,
  layer: BlobRef,
  trees: { readonly target: string; readonly lower: readonly string[] },
  signal: AbortSignal,
): Promise<Staged<'apply'>> {
  const { digest, size: sizeBytes, diffId } = layer
  const compression = layerFormat(layer.mediaType)
  const request = { ...trees, compression, digest, sizeBytes, diffId, limits: layerLimits }
  const options = { signal, finish: { content: true, layer: null, sync: store.durable } }
  if (source !== undefined)
    return native.applyStaged(request, Readable.from(source.read(), { objectMode: false }), options)
  const file = await open(store.blobs.path(digest), 'r')
  try {
    // The helper has it for itself from its start on.
    return native.applyStaged(request, file.fd, options)
  } finally {
    await file.close()
  }
}
