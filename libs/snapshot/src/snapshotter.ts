import { open } from 'node:fs/promises'
import {
  type ChainId,
  chainIdOf,
  type DiffId,
  type Digest,
  digestKey,
  parseDiffId,
  parseDigest,
} from '@tsbuild/digest'
import { InternalError, isBuildError, UserError } from '@tsbuild/errors'
import type {
  Cancellable,
  Compression,
  Finishing,
  LayerFormat,
  Native,
  Root,
  WrittenLayer,
} from '@tsbuild/native'
import { isSnapshotId, type LayerInfo, type RecordWrite, type SnapshotId, type Store } from '@tsbuild/store'
import type { Filesystem, LayerRef } from './layers.ts'

/** Limits of a base image's layer, against decompression bombs. */
const limits = { maxBytes: 64 * 2 ** 30, maxEntries: 2_000_000, maxRatio: 1000 }

/** What the snapshotter needs from outside. */
export interface SnapshotterOptions {
  readonly store: Store
  readonly native: Native
  /** Brings the blob of an image's layer into the store; called once for each layer that is not there. */
  readonly fetch: (layer: ImageLayerRef, signal: AbortSignal) => Promise<void>
}

/** The kind of {@link LayerRef} that comes with an image. */
export type ImageLayerRef = Extract<LayerRef, { kind: 'image' }>

/** A snapshot that a step changes. Ends in exactly one of `commit`, `keep` and `release`. */
export interface PreparedSnapshot {
  readonly id: SnapshotId
  readonly root: Root
  /** For the operation of {@link Native} that changes it. */
  readonly finishing: Pick<Finishing, 'finish' | 'layerFd'>
  /**
   * Makes the snapshot, its layer and its records durable.
   * @param finished of the operation
   */
  commit(records: readonly RecordWrite[], finished: Promise<WrittenLayer | undefined>): Promise<void>
  /** Keeps it as a failure; see `SnapshotDraft.keep`. @returns whether it was kept; deleted otherwise */
  keep(ref: string, text: string): Promise<boolean>
  /** Deletes it. */
  release(): Promise<void>
}

/** See {@link Snapshotter.overlay}. */
export type Overlay = Pick<PreparedSnapshot, 'root' | 'release'>

/** How a layer blob is described. */
export interface LayerBlob {
  readonly diffId: DiffId
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
}

/** Turns described file systems into trees, and trees into layers. Safe for concurrent use. */
export interface Snapshotter {
  /**
   * A writable snapshot over a file system.
   * @param layer the compression in which its layer will be wanted: it is written as soon as the step has ended
   */
  prepare(base: Filesystem, signal: AbortSignal, layer?: Compression): Promise<PreparedSnapshot>
  /**
   * A writable root upon trees that are there, topmost first. What is written to it is thrown away by `release`.
   * The trees must not change meanwhile.
   */
  overlay(lower: readonly string[]): Promise<Overlay>
  /** A read-only view of a file system, unpacked as far as needed. */
  view(filesystem: Filesystem, signal: AbortSignal): Promise<Root>
  /** The layer blob of a snapshot in a compression; made and stored on the first call. */
  layerBlob(id: SnapshotId, compression: Compression, options: Cancellable): Promise<LayerBlob>
  /** Notes that stacks of layers are unpacked already: they were made here. */
  adopt(
    stacks: readonly { readonly chain: ChainId; readonly id: SnapshotId; readonly diffId: DiffId }[],
  ): Promise<void>
}

/** Creates a snapshotter over one store. */
export function createSnapshotter(options: SnapshotterOptions): Snapshotter {
  const unpacked = new Map<string, Promise<SnapshotId>>()
  const blobs = new Map<string, Promise<LayerBlob>>()
  const lowers = (filesystem: Filesystem, signal: AbortSignal) =>
    lowerDirectories(options, unpacked, filesystem, signal)
  return {
    async prepare(base, signal, layer) {
      const lower = await lowers(base, signal)
      const prepared = await prepareSnapshot(options.store, lower, layer)
      if (layer !== undefined) {
        const key = blobKey(prepared.id, layer)
        blobs.set(key, prepared.blob)
        prepared.blob.catch(() => blobs.delete(key))
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
    layerBlob(id, compression, cancellable) {
      return memoised(blobs, blobKey(id, compression), () =>
        makeLayerBlob(options, id, compression, cancellable),
      )
    },
    async adopt(stacks) {
      const { store } = options
      const unknown = stacks.filter(({ chain }) => unpackedSnapshot(store, chainKey(chain)) === undefined)
      if (unknown.length === 0) return
      await store.records.put(
        unknown.map(({ chain, id, diffId }) => unpackedRecord(chainKey(chain), id, diffId)),
      )
    },
  }
}

function blobKey(id: SnapshotId, { format, level }: Compression): string {
  return `${id} ${format} ${level}`
}

/** A failed attempt is not kept. */
function memoised<T>(map: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  made.catch(() => map.delete(key))
  return made
}

async function prepareSnapshot(
  store: Store,
  lower: readonly string[],
  layer: Compression | undefined,
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
    finishing: { finish: { layer: layer ?? null, sync: store.durable }, layerFd: ingest?.fd },
    blob,
    keep: (ref, text) => end(() => draft.keep(ref, text)),
    release: () => end(() => draft.release()),
    async commit(records, finished) {
      try {
        const made = layerBlob(await finished, layer)
        if (made === undefined) await ingest?.abort()
        else await ingest?.commit({ digest: made.digest, size: made.size, synced: true })
        await draft.commit(records, { synced: true, layer: made === undefined ? undefined : layerInfo(made) })
        if (made !== undefined) settle(made)
      } catch (error) {
        fail(error)
        await ingest?.abort()
        throw error
      }
    },
  }
}

/** What the helper wrote, as a blob. */
function layerBlob(
  written: WrittenLayer | undefined,
  compression: Compression | undefined,
): LayerBlob | undefined {
  if (written === undefined || compression === undefined) return undefined
  const mediaType = layerMediaType(compression.format)
  const { sizeBytes: size } = written
  return { diffId: parseDiffId(written.diffId), mediaType, digest: parseDigest(written.digest), size }
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

/**
 * The trees of a file system, topmost first. Layers of an image are unpacked from the lowest up: each may need those below
 * it of the same image. What a merge put under the image does not count, or the tree would be no one else's.
 */
async function lowerDirectories(
  options: SnapshotterOptions,
  unpacked: Map<string, Promise<SnapshotId>>,
  filesystem: Filesystem,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { snapshots } = options.store
  const lower: string[] = []
  let image: { readonly diffIds: readonly DiffId[]; readonly lower: readonly string[] } = noImage
  for (const layer of filesystem.layers) {
    if (layer.kind === 'snapshot') {
      lower.unshift(snapshots.path(layer.id))
      image = noImage
      continue
    }
    const diffIds = [...image.diffIds, layer.diffId]
    const below = image.lower
    const chain = chainIdOf(diffIds)
    if (chain === undefined) throw new InternalError('ERR_INTERNAL', 'a layer has no chain')
    const id = await untilDone(signal, () =>
      memoised(unpacked, chain, () => unpack(options, chain, layer, below, signal)),
    )
    const path = snapshots.path(id)
    lower.unshift(path)
    image = { diffIds, lower: [path, ...below] }
  }
  return lower
}

const noImage = { diffIds: [], lower: [] }

/** The key of the record that says where the layer of a chain is unpacked. */
function chainKey(chain: string): Digest {
  return digestKey('tsbuild.unpacked.v1', { chain })
}

async function unpack(
  { store, native, fetch }: SnapshotterOptions,
  chain: string,
  layer: ImageLayerRef,
  lower: readonly string[],
  signal: AbortSignal,
): Promise<SnapshotId> {
  const key = chainKey(chain)
  const known = unpackedSnapshot(store, key)
  if (known !== undefined) return known
  return await store.locks.withLock(
    `unpack ${chain}`,
    async () => {
      const made = unpackedSnapshot(store, key)
      if (made !== undefined) return made
      if ((await store.blobs.size(layer.digest)) === undefined) await fetch(layer, signal)
      const draft = await store.snapshots.draft()
      try {
        await applyLayer(store, native, layer, { target: draft.upper, lower }, signal)
        // With its layer form at once: what is committed has a name and readers, and is not released for want of it.
        await draft.commit([unpackedRecord(key, draft.id, layer.diffId)], { layer: layerInfo(layer) })
      } catch (error) {
        await draft.release()
        throw error
      }
      return draft.id
    },
    { signal },
  )
}

function unpackedRecord(key: Digest, snapshot: SnapshotId, diffId: DiffId): RecordWrite {
  return { keys: [key], text: `${JSON.stringify({ format: 1, snapshot, diffId })}\n` }
}

function unpackedSnapshot(store: Store, key: Digest): SnapshotId | undefined {
  const text = store.records.get(key)
  if (text === undefined) return undefined
  try {
    const { format, snapshot } = JSON.parse(text) as { format?: unknown; snapshot?: unknown }
    if (format !== 1 || typeof snapshot !== 'string' || !isSnapshotId(snapshot)) return undefined
    return store.snapshots.has(snapshot) ? snapshot : undefined
  } catch {
    return undefined
  }
}

function layerInfo(layer: LayerBlob): LayerInfo {
  const { diffId, mediaType, digest, size } = layer
  return { diffId, blobs: [{ mediaType, digest, size }] }
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
    await native.apply({ ...trees, compression, digest, sizeBytes, diffId, limits }, file.fd, { signal })
  } finally {
    await file.close()
  }
}

/** How the blob of a layer is compressed, by its media type. */
export function layerFormat(mediaType: string): LayerFormat {
  if (/[+.]zstd$/.test(mediaType)) return 'zstd'
  if (/[+.]gzip$/.test(mediaType)) return 'gzip'
  if (/\.tar$/.test(mediaType)) return 'none'
  throw new UserError('ERR_UNSUPPORTED', `Cannot unpack a layer of media type "${mediaType}"`)
}

/** The OCI media type of a layer in a compression. */
export function layerMediaType(format: LayerFormat): string {
  const base = 'application/vnd.oci.image.layer.v1.tar'
  return format === 'none' ? base : `${base}+${format}`
}

async function makeLayerBlob(
  { store, native }: SnapshotterOptions,
  id: SnapshotId,
  compression: Compression,
  options: Cancellable,
): Promise<LayerBlob> {
  const mediaType = layerMediaType(compression.format)
  const known = store.snapshots.layer(id)
  for (const blob of known?.blobs ?? []) {
    if (known === undefined || blob.mediaType !== mediaType) continue
    const stored = (await store.blobs.size(blob.digest)) !== undefined
    if (stored) return { diffId: known.diffId, mediaType, digest: blob.digest, size: blob.size }
  }
  const ingest = await store.blobs.ingest()
  try {
    const request = { upper: store.snapshots.path(id), compression, clampMtime: null }
    const blob = layerBlob(await native.diff(request, ingest.fd, options), compression)
    if (blob === undefined) throw new InternalError('ERR_INTERNAL', 'a diff gave no layer')
    await ingest.commit({ digest: blob.digest, size: blob.size })
    await store.snapshots.setLayer(id, layerInfo(blob))
    return blob
  } catch (error) {
    await ingest.abort()
    throw error
  }
}
