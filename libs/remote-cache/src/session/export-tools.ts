import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { InternalError } from '@tsbuild/errors'
import type { LayerForm } from '@tsbuild/native'
import {
  type BlobRef,
  blobInForm,
  blobToUnpack,
  type CachedBlobRef,
  type LayerRef,
  type Snapshotter,
  storedForm,
} from '@tsbuild/snapshot'
import { formatOfForm, type Store, type StoredLayer } from '@tsbuild/store'
import pLimit from 'p-limit'
import type { ExportableBlob, ExportTools } from '../types.ts'

/** Layers that are made at a time for all exports: later steps need the machine. */
const madeAtATime = 2

/** How layers are made that nobody wanted in any form: as those of an image are. */
const usualForm: LayerForm = { compression: { format: 'gzip', level: 6 }, clampMtime: null }

/** What {@link createBlobs} needs from outside. */
export interface BlobsOptions {
  readonly store: Store
  readonly snapshotter: Snapshotter
  /** Brings the blob of a layer that is elsewhere into the store. */
  readonly fetch: (layer: BlobRef, signal: AbortSignal) => Promise<void>
  /** Of the build. Outputs wait for the same layers: a cache that is given up must not end the making of them. */
  readonly signal: AbortSignal
}

/** Blobs of layers, for those who send them. */
export interface Blobs {
  /** @param below what the layer stands upon, lowest first */
  blobOf(
    layer: LayerRef,
    below: readonly LayerRef[],
    form: LayerForm | undefined,
    signal: AbortSignal,
  ): Promise<ExportableBlob>
}

/** Gives blobs that the store has, and makes or fetches the others when they are asked for. */
export function createBlobs({ store, snapshotter, fetch, signal: building }: BlobsOptions): Blobs {
  const limit = pLimit(madeAtATime)
  const stored = (layer: StoredLayer): ExportableBlob => ({
    layer,
    open: (offset) => readFrom(store, layer, offset),
    places: [],
  })
  const elsewhere = (blob: BlobRef, layer: StoredLayer, signal: AbortSignal): ExportableBlob => ({
    layer,
    open: (offset) =>
      Readable.from(
        (async function* () {
          if ((await store.blobs.size(layer.digest)) === undefined) await fetch(blob, signal)
          yield* readFrom(store, layer, offset)
        })(),
        { objectMode: false },
      ),
    places: blob.kind === 'image' ? [blob.reference] : blob.layer.places,
  })
  const made = async (id: Parameters<Snapshotter['layerBlob']>[0], form: LayerForm) => {
    const blob = await snapshotter.layerBlob(id, form, { signal: building })
    return stored({ ...blob, form: storedForm(form) })
  }
  return {
    blobOf: (layer, below, form, signal) =>
      limit(async () => {
        signal.throwIfAborted()
        if (layer.kind === 'image') {
          const { mediaType, digest, size, diffId } = layer
          return elsewhere(layer, { mediaType, digest, size, diffId, form: undefined }, signal)
        }
        if (layer.kind === 'cached') {
          const found = form === undefined ? blobToUnpack(layer) : blobInForm(layer, form, false)
          if (found !== undefined) return elsewhere(found, storedOf(found), signal)
          const id = await snapshotter.topmost({ layers: [...below, layer] }, signal)
          return await made(id, form ?? usualForm)
        }
        const known = form === undefined ? await storedInAnyForm(store, layer.id) : undefined
        return known === undefined ? await made(layer.id, form ?? usualForm) : stored(known)
      }),
  }
}

function storedOf({ kind: _, layer: __, ...blob }: CachedBlobRef): StoredLayer {
  return blob
}

/** Nobody compresses a layer again that is compressed somehow; only the times have to be those that the step left. */
async function storedInAnyForm(
  store: Store,
  id: Extract<LayerRef, { kind: 'snapshot' }>['id'],
): Promise<StoredLayer | undefined> {
  for (const blob of store.snapshots.layer(id)?.blobs ?? []) {
    const { form } = blob
    const isWhole = form === undefined || (form.clampMtime === null && formatOfForm(form) !== 'estargz')
    if (isWhole && (await store.blobs.size(blob.digest)) === blob.size) return blob
  }
  return undefined
}

function readFrom(store: Store, layer: StoredLayer, offset: number): Readable {
  // What is sent in one piece is verified; who takes it in verifies all. Node refuses to start a read behind the end of a file.
  if (offset === 0) return store.blobs.stream(layer)
  if (offset >= layer.size) return Readable.from([])
  return createReadStream(store.blobs.path(layer.digest), { start: offset })
}

/** Whether anything still happens on the way to a cache. */
export interface Activity {
  /** Something came to pass. */
  readonly moved: () => void
  /** Work of this machine, which no cache is slow at. */
  readonly busy: <T>(work: () => Promise<T>) => Promise<T>
  /** Bytes that went out, for what is still to be written on the other side. */
  readonly sent: (bytes: number) => void
}

/** The tools of one exporter. */
export function createTools(
  blobs: Blobs,
  belowOf: WeakMap<LayerRef, readonly LayerRef[]>,
  { activity, signal, status }: Pick<ExportTools, 'signal' | 'status'> & { readonly activity: Activity },
): ExportTools {
  return {
    signal,
    status(line) {
      activity.moved()
      status(line)
    },
    async blobOf(layer, form, aborted) {
      const below = layer.kind === 'cached' ? belowOf.get(layer) : []
      if (below === undefined)
        throw new InternalError('ERR_INTERNAL', 'a layer is exported that belongs to no step')
      const blob = await activity.busy(() => blobs.blobOf(layer, below, form, aborted))
      return { ...blob, open: (offset) => watched(blob.open(offset), activity) }
    },
  }
}

function watched(source: Readable, activity: Activity): Readable {
  const bytes = async function* () {
    for await (const chunk of source) {
      activity.sent(chunk.length)
      yield chunk
    }
  }
  return Readable.from(bytes(), { objectMode: false })
}
