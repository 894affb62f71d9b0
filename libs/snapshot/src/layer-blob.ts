import type { Cancellable, LayerForm } from '@tsbuild/native'
import { isSameForm, type SnapshotId, type Store, type StoredLayer } from '@tsbuild/store'
import { type LayerBlob, layerBlobOf, storedForm, storedLayer } from './layer-format.ts'
import type { SnapshotterOptions } from './snapshotter.ts'

/**
 * The layer of a snapshot in a form, made unless it is in the store. A blob counts only where format, level and clamped time
 * are those that are asked for: not one of which nobody knows how it was written.
 */
export async function makeLayerBlob(
  { store, native }: Pick<SnapshotterOptions, 'store' | 'native'>,
  id: SnapshotId,
  form: LayerForm,
  options: Cancellable,
): Promise<LayerBlob> {
  const wanted = storedForm(form)
  const found = store.snapshots
    .layer(id)
    ?.blobs.find((blob) => blob.form !== undefined && isSameForm(blob.form, wanted))
  if (found !== undefined && (await isStored(store, found))) return blobOf(found)
  const ingest = await store.blobs.ingest()
  try {
    const written = await native.diff({ upper: store.snapshots.path(id), form }, ingest.fd, options)
    const blob = layerBlobOf(written, form.compression.format)
    await ingest.commit({ digest: blob.digest, size: blob.size })
    await store.snapshots.setLayer(id, { blobs: [storedLayer(blob, wanted)] })
    return blob
  } catch (error) {
    await ingest.abort()
    throw error
  }
}

/** Whether the store has the blob that it knows of. */
export async function isStored(store: Store, { digest, size }: StoredLayer): Promise<boolean> {
  return (await store.blobs.size(digest)) === size
}

/** Without what only the store needs to know. */
export function blobOf({ form: _, ...blob }: StoredLayer): LayerBlob {
  return blob
}
