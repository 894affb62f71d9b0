import { open } from 'node:fs/promises'
import { type ChainId, chainUpon, type DiffId, type Digest, digestKey, parseDigest } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import type { Native } from '@tsbuild/native'
import { objectOf, oneOf, parseJson, text } from '@tsbuild/shape'
import { isSnapshotId, type RecordWrite, type SnapshotId, type Store } from '@tsbuild/store'
import { layerFormat, storedLayer } from './layer-format.ts'
import type { Filesystem, ImageLayerRef } from './layers.ts'
import { memoised } from './memoised.ts'
import type { MergedRuns } from './merged-runs.ts'
import { layerLimits, withStoredBlob } from './stored-blob.ts'

/** Layers that are unpacked while those below them are made durable; each holds a lock meanwhile. */
const uncommitted = 16

/** What {@link createLowerDirectories} needs from outside. */
export interface LowerDirectoriesOptions {
  readonly store: Store
  readonly native: Native
  readonly fetch: (layer: ImageLayerRef, signal: AbortSignal) => Promise<void>
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
    try {
      return await paths(await stackOf(layers, commits, signal), signal)
    } catch (error) {
      // A layer that could not be made durable is gone, and what was to be unpacked upon it failed for that.
      const ended = await Promise.allSettled(commits)
      throw ended.find((one) => one.status === 'rejected')?.reason ?? error
    }
  }
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
      if (signal.aborted || !isBuildError(error) || error.code !== 'ERR_CANCELLED') throw error
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
      const unpacked = await withStoredBlob(options, unpacking.layer, signal, () =>
        unpackStored(options, unpacking, signal),
      )
      usable(unpacked)
      await unpacked.committed
    }
    store.locks.withLock(`unpack ${chain}`, body, { signal }).catch(reject)
  })
}

/** From the blob in the store. */
async function unpackStored(
  { store, native }: LowerDirectoriesOptions,
  { chain, layer, lower }: Unpacking,
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
  const apply = async () =>
    applyLayer(store, native, layer, { target: draft.upper, lower: await lower() }, signal)
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

async function applyLayer(
  store: Store,
  native: Native,
  layer: ImageLayerRef,
  trees: { readonly target: string; readonly lower: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const { digest, size: sizeBytes, diffId } = layer
  const compression = layerFormat(layer.mediaType)
  const file = await open(store.blobs.path(digest), 'r')
  try {
    await native.apply({ ...trees, compression, digest, sizeBytes, diffId, limits: layerLimits }, file.fd, {
      signal,
    })
  } finally {
    await file.close()
  }
}
