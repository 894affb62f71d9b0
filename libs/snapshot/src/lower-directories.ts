import { setMaxListeners } from 'node:events'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { type ChainId, chainUpon, type DiffId, type Digest, digestKey, parseDigest } from '@tsbuild/digest'
import type { Native } from '@tsbuild/native'
import { objectOf, oneOf, parseJson, text } from '@tsbuild/shape'
import { isSnapshotId, type RecordWrite, type SnapshotId, type Store } from '@tsbuild/store'
import type { GrowingBlob } from './growing-blob.ts'
import { type Fetching, isCancelled, type LayerFetches } from './layer-fetches.ts'
import { layerFormat, storedLayer } from './layer-format.ts'
import type { Filesystem, ImageLayerRef } from './layers.ts'
import { memoised } from './memoised.ts'
import type { MergedRuns } from './merged-runs.ts'
import { layerLimits, withStoredBlob } from './stored-blob.ts'

/** Layers that are unpacked while those below them are made durable; each holds a lock meanwhile. */
const uncommitted = 16
/** Smaller layers are there before anybody could begin to unpack them. */
const growingFromBytes = 1024 * 1024

/** What {@link createLowerDirectories} needs from outside. */
export interface LowerDirectoriesOptions {
  readonly store: Store
  readonly native: Native
  readonly fetches: LayerFetches
}

/** The trees of a file system, topmost first, as few of them as there are by now. */
export type LowerDirectories = (filesystem: Filesystem, signal: AbortSignal) => Promise<readonly string[]>

/**
 * Layers of an image are unpacked from the lowest up: each may need those below it of the same image. What a merge put
 * under the image does not count, or the tree would be no one else's.
 */
export function createLowerDirectories(options: LowerDirectoriesOptions, runs: MergedRuns): LowerDirectories {
  const unpacked = new Map<string, Promise<Unpacked>>()
  const chained = createChains()
  const paths = async (stack: readonly SnapshotId[], signal: AbortSignal) =>
    (await runs.shorten(stack, signal)).map((id) => options.store.snapshots.path(id)).reverse()
  /** Each is unpacked once; one that could not be made durable, again. */
  const unpackOnce = (unpacking: Unpacking, signal: AbortSignal) =>
    untilDone(signal, () =>
      memoised(unpacked, unpacking.chain, async () => {
        const made = await unpack(options, unpacking, signal)
        made.committed.catch(() => unpacked.delete(unpacking.chain))
        return made
      }),
    )
  /** Each is unpacked upon those below it, but all of them can come at a time. */
  const fetchAhead = (layers: Filesystem['layers'], signal: AbortSignal, failed: AbortController) => {
    let chain: ChainId | undefined
    let either: AbortSignal | undefined
    for (const layer of layers) {
      chain = layer.kind === 'snapshot' ? undefined : chained(chain, layer.diffId)
      if (layer.kind === 'snapshot' || chain === undefined || unpacked.has(chain)) continue
      if (unpackedSnapshot(options.store, chain) !== undefined) continue
      either ??= anyOf(signal, failed.signal)
      options.fetches.begin(layer, either)
    }
  }
  const stackOf = async (layers: Filesystem['layers'], commits: Promise<void>[], signal: AbortSignal) => {
    const stack: SnapshotId[] = []
    /** Where the image begins that the layer belongs to, and the chain of its layers so far. */
    let start = 0
    let chain: ChainId | undefined
    for (const layer of layers) {
      if (layer.kind === 'snapshot') {
        stack.push(layer.id)
        start = stack.length
        chain = undefined
        continue
      }
      chain = chained(chain, layer.diffId)
      const lower = () => paths(stack.slice(start), signal)
      const { id, committed } = await unpackOnce({ chain, layer, lower }, signal)
      if (commits.push(committed) > uncommitted) await commits.shift()
      stack.push(id)
    }
    await Promise.all(commits)
    return stack
  }
  return async ({ layers }, signal) => {
    const commits: Promise<void>[] = []
    const failed = new AbortController()
    try {
      fetchAhead(layers, signal, failed)
      return await paths(await stackOf(layers, commits, signal), signal)
    } catch (error) {
      failed.abort()
      // A layer that could not be made durable is gone, and what was to be unpacked upon it failed for that.
      const ended = await Promise.allSettled(commits)
      throw ended.find((one) => one.status === 'rejected')?.reason ?? error
    }
  }
}

/** Fires with either of two. Several fetches listen to it in several places each, which is no leak. */
function anyOf(one: AbortSignal, other: AbortSignal): AbortSignal {
  const either = AbortSignal.any([one, other])
  setMaxListeners(0, either)
  return either
}

/** Chains one more layer on. Remembered: every step of a build asks for the chains of its base image. */
function createChains(): (chain: ChainId | undefined, diffId: DiffId) => ChainId {
  const known = new Map<string, ChainId>()
  return (chain, diffId) => {
    const stack = `${chain} ${diffId}`
    const next = known.get(stack) ?? chainUpon(chain, diffId)
    known.set(stack, next)
    return next
  }
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

/** The key of the record that says where the layer of a chain is unpacked. */
function chainKey(chain: ChainId): Digest {
  return digestKey('tsbuild.unpacked.v1', { chain })
}

interface Unpacking {
  readonly chain: ChainId
  readonly layer: ImageLayerRef
  /** The trees of the image below it, topmost first. */
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
  const { chain } = unpacking
  const known = unpackedSnapshot(store, chain)
  if (known !== undefined) return Promise.resolve({ id: known, committed: Promise.resolve() })
  return new Promise((usable, reject) => {
    const body = async () => {
      const made = unpackedSnapshot(store, chain)
      if (made !== undefined) return usable({ id: made, committed: Promise.resolve() })
      const unpacked =
        (await unpackFetching(options, unpacking, signal)) ??
        (await withStoredBlob({ store, fetch: options.fetches.fetch }, unpacking.layer, signal, () =>
          unpackStored(options, unpacking, signal),
        ))
      usable(unpacked)
      await unpacked.committed
    }
    store.locks.withLock(`unpack ${chain}`, body, { signal }).catch(reject)
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
  { chain, layer, lower }: Unpacking,
  fetching: Fetching | undefined,
  signal: AbortSignal,
): Promise<Unpacked> {
  const draft = await store.snapshots.draft()
  const orReleased = async (work: Promise<void>) => {
    try {
      await work
    } catch (error) {
      await draft.release()
      throw error
    }
  }
  const apply = async () => {
    const source = fetching?.growing
    await applyLayer({ store, native, source }, layer, { target: draft.upper, lower: await lower() }, signal)
    await fetching?.done
  }
  await orReleased(apply())
  const record = unpackedRecord(chain, draft.id, layer.diffId)
  const content = contentOf(native, draft.upper, signal)
  const committed = orReleased(draft.commit([record], { layer: { blobs: [blobOfImage(layer)] }, content }))
  // Whoever uses the layer waits for it too, but maybe not before it fails.
  committed.catch(() => {})
  return { id: draft.id, committed }
}

/** As what it was written, nobody knows. */
function blobOfImage({ diffId, mediaType, digest, size }: ImageLayerRef) {
  return storedLayer({ diffId, mediaType, digest, size }, undefined)
}

/** For `tsbuild verify` alone, so it is found out while the build goes on, and a layer without it is one all the same. */
async function contentOf(native: Native, tree: string, signal: AbortSignal): Promise<Digest | undefined> {
  try {
    const [content] = await native.content([tree], { signal })
    return content === undefined ? undefined : parseDigest(content)
  } catch {
    return undefined
  }
}

/** Says where the layer of a chain is unpacked. */
export function unpackedRecord(chain: ChainId, snapshot: SnapshotId, diffId: DiffId): RecordWrite {
  return { keys: [chainKey(chain)], text: `${JSON.stringify({ format: 1, snapshot, diffId })}\n` }
}

const isUnpackedRecord = objectOf({ format: oneOf(1), snapshot: text })

/** Where the layer of a chain is unpacked. A damaged record is none. */
export function unpackedSnapshot(store: Store, chain: ChainId): SnapshotId | undefined {
  const record = parseJson(store.records.get(chainKey(chain)) ?? '')
  if (!isUnpackedRecord(record)) return undefined
  const { snapshot } = record as { readonly snapshot: string }
  return isSnapshotId(snapshot) && store.snapshots.has(snapshot) ? snapshot : undefined
}

/** Where the bytes of a layer are read: a blob that still grows, else the one in the store. */
interface LayerSource {
  readonly store: Store
  readonly native: Native
  readonly source: GrowingBlob | undefined
}

async function applyLayer(
  { store, native, source }: LayerSource,
  layer: ImageLayerRef,
  trees: { readonly target: string; readonly lower: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const { digest, size: sizeBytes, diffId } = layer
  const compression = layerFormat(layer.mediaType)
  const request = { ...trees, compression, digest, sizeBytes, diffId, limits: layerLimits }
  if (source !== undefined) {
    await native.apply(request, Readable.from(source.read(), { objectMode: false }), { signal })
    return
  }
  const file = await open(store.blobs.path(digest), 'r')
  try {
    await native.apply(request, file.fd, { signal })
  } finally {
    await file.close()
  }
}
