import type { KeyValue } from '@tsbuild/digest'
import { isRecord, unixMs } from '@tsbuild/shape'
import { parseStoredLayer, storedLayerJson } from '@tsbuild/store'
import { knownFormat } from './layer-format.ts'
import type { CachedLayerRef } from './layers.ts'

/** More forms and places than a layer has; others are passed over. */
const most = 32

/** A layer of a cache as the value that a record stores. */
export function cachedLayerJson({ blobs, places, createdAt }: CachedLayerRef): KeyValue {
  return { blobs: blobs.map((blob) => storedLayerJson(blob) as KeyValue), places, createdAt }
}

/**
 * Undoes {@link cachedLayerJson}. What a record says is trusted no further than that: the bytes are verified when they come.
 *
 * @returns undefined for a value that is none
 */
export function parseCachedLayer(value: unknown): CachedLayerRef | undefined {
  if (!isRecord(value)) return undefined
  const { blobs, places, createdAt } = value
  if (!Array.isArray(blobs) || !Array.isArray(places) || !unixMs(createdAt)) return undefined
  if (!places.every((place) => typeof place === 'string')) return undefined
  const parsed = blobs.slice(0, most).map((blob) => parseStoredLayer(blob))
  const known = parsed.filter((blob) => blob !== undefined)
  if (known.length === 0 || known.length < parsed.length) return undefined
  // Neither can be unpacked nor put into an image what is no layer.
  if (known.some(({ mediaType }) => knownFormat(mediaType) === undefined)) return undefined
  return { kind: 'cached', blobs: known, places: places.slice(0, most), createdAt: Number(createdAt) }
}
