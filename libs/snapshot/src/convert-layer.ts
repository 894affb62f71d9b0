import { open } from 'node:fs/promises'
import { digestKey } from '@tsbuild/digest'
import type { Cancellable, Compression } from '@tsbuild/native'
import { isRecord, parseJson } from '@tsbuild/shape'
import { parseStoredLayer, type StoredLayer, storedLayerJson } from '@tsbuild/store'
import { blobOf, isStored } from './layer-blob.ts'
import { type LayerBlob, layerBlobOf, layerFormat, storedForm, storedLayer } from './layer-format.ts'
import type { ImageLayerRef } from './layers.ts'
import type { SnapshotterOptions } from './snapshotter.ts'
import { layerLimits, withStoredBlob } from './stored-blob.ts'

/** See {@link Snapshotter.convertLayer}. */
export async function convertLayer(
  options: Pick<SnapshotterOptions, 'store' | 'native' | 'fetch'>,
  layer: ImageLayerRef,
  compression: Compression,
  cancellable: Cancellable,
): Promise<LayerBlob> {
  const { store } = options
  const key = conversionKey(layer, compression)
  const found = readConversion(store.records.get(key))
  if (found !== undefined && (await isStored(store, found))) return blobOf(found)
  const signal = cancellable.signal ?? new AbortController().signal
  return await store.locks.withLock(
    `convert ${key}`,
    async () => {
      const made = readConversion(store.records.get(key))
      if (made !== undefined && (await isStored(store, made))) return blobOf(made)
      const blob = await withStoredBlob(options, layer, signal, () =>
        convertStored(options, layer, compression, cancellable),
      )
      const stored = storedLayer(blob, storedForm({ compression, clampMtime: null }))
      const text = JSON.stringify({ format: 1, converted: layer.digest, layer: storedLayerJson(stored) })
      await store.records.put([{ keys: [key], text: `${text}\n` }])
      return blob
    },
    { signal },
  )
}

/** What a conversion depends on. The layer's media type is in it: it says how the bytes are read. */
export function conversionKey({ digest, diffId, mediaType }: ImageLayerRef, compression: Compression) {
  const { format, level } = storedForm({ compression, clampMtime: null })
  return digestKey('tsbuild.converted.v1', { digest, diffId, from: layerFormat(mediaType), format, level })
}

/** A damaged record is none. */
function readConversion(text: string | undefined): StoredLayer | undefined {
  const record = parseJson(text ?? '')
  return isRecord(record) && record.format === 1 ? parseStoredLayer(record.layer) : undefined
}

async function convertStored(
  { store, native }: Pick<SnapshotterOptions, 'store' | 'native'>,
  { digest, size: sizeBytes, diffId, mediaType }: ImageLayerRef,
  to: Compression,
  cancellable: Cancellable,
): Promise<LayerBlob> {
  const request = { from: layerFormat(mediaType), digest, sizeBytes, diffId, to, limits: layerLimits }
  const file = await open(store.blobs.path(digest), 'r')
  const ingest = await store.blobs.ingest()
  try {
    const blob = layerBlobOf(
      await native.convert(request, { from: file.fd, to: ingest.fd }, cancellable),
      to.format,
    )
    await ingest.commit({ digest: blob.digest, size: blob.size })
    return blob
  } catch (error) {
    await ingest.abort()
    throw error
  } finally {
    await file.close()
  }
}
