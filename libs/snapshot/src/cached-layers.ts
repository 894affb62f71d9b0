import type { LayerForm } from '@tsbuild/native'
import { isSameForm, type Store, type StoredLayer } from '@tsbuild/store'
import type { FetchWatcher } from './growing-blob.ts'
import { layerFormat, storedForm } from './layer-format.ts'
import type { CachedBlobRef, CachedLayerRef } from './layers.ts'

/** Where layers of kind `cached` come from. */
export interface CachedLayers {
  /**
   * Brings one of a layer's blobs into the store, verified.
   * @throws {EnvironmentError} `ERR_CACHE_LAYER` where no place has it any more, or what they have is something else
   */
  fetch(blob: CachedBlobRef, signal: AbortSignal, watcher?: FetchWatcher): Promise<void>
  /** A blob that had its digest could not be unpacked. @returns what to throw instead */
  refuse(blob: CachedBlobRef, error: unknown): unknown
}

/**
 * The blob that a layer is unpacked from: one that has the files as the step left them, times and all, and no table of
 * contents besides. What is unpacked is named by its diffID, so it is the same one in every build.
 */
export function blobToUnpack(layer: CachedLayerRef): CachedBlobRef {
  const [best] = layer.blobs.toSorted(
    (a, b) => strangeness(a) - strangeness(b) || a.size - b.size || (a.digest < b.digest ? -1 : 1),
  )
  if (best === undefined) throw new RangeError('a cached layer has no blob')
  return { ...best, kind: 'cached-blob', layer }
}

/** Of those with the same tar, one that the store has; else the one itself. */
export async function preferStored(store: Store, blob: CachedBlobRef): Promise<CachedBlobRef> {
  if ((await store.blobs.size(blob.digest)) !== undefined) return blob
  for (const other of blob.layer.blobs) {
    if (other.diffId !== blob.diffId) continue
    if ((await store.blobs.size(other.digest)) !== undefined) return { ...blob, ...other }
  }
  return blob
}

/**
 * The blob that stands for a layer in an image: one that is written as the image's layers are. One of which nobody knows how it
 * was written is kept, as a layer of a base image is, unless it is to be another.
 *
 * @returns undefined where the blob has to be made
 */
export function blobInForm(
  layer: CachedLayerRef,
  form: LayerForm,
  forceCompression: boolean,
): CachedBlobRef | undefined {
  const wanted = storedForm(form)
  const isForeign = ({ mediaType, form: known }: StoredLayer) =>
    known === undefined &&
    form.clampMtime === null &&
    (!forceCompression || layerFormat(mediaType) === form.compression.format)
  const found =
    layer.blobs.find((blob) => blob.form !== undefined && isSameForm(blob.form, wanted)) ??
    layer.blobs.find(isForeign)
  return found === undefined ? undefined : { ...found, kind: 'cached-blob', layer }
}

function strangeness({ form, annotations = {} }: StoredLayer): number {
  const isClamped = (form?.clampMtime ?? null) !== null
  const isIndexed = 'containerd.io/snapshot/stargz/toc.digest' in annotations
  return (isClamped ? 2 : 0) + (isIndexed ? 1 : 0)
}
