import type { Digest } from '@tsbuild/digest'
import { isRecord } from '@tsbuild/shape'
import { cachedLayerJson, parseCachedLayer } from '@tsbuild/snapshot'
import type { CacheRecord } from '@tsbuild/solver'
import type { FoundRecord } from '../types.ts'

/** What several caches have, by key. Of a key that several have the first one given counts. */
export interface FoundRecords {
  get(key: Digest): CacheRecord | undefined
  /** @returns whether there was anything new among them */
  add(records: readonly FoundRecord[]): boolean
  readonly size: number
}

/** Nothing, at first. */
export function createFoundRecords(): FoundRecords {
  const found = new Map<Digest, CacheRecord>()
  return {
    get: (key) => found.get(key),
    add(records) {
      let isNew = false
      for (const { keys, record } of records) {
        if (cachedOf(record) === undefined) continue
        for (const key of keys) {
          const before = found.get(key)
          isNew ||= before === undefined
          found.set(key, before === undefined ? record : withPlaces(before, record))
        }
      }
      return isNew
    },
    get size() {
      return found.size
    },
  }
}

/** The layer of a record of a cache elsewhere. */
export function cachedOf({ stored }: Pick<CacheRecord, 'stored'>) {
  return isRecord(stored) ? parseCachedLayer(stored.cached) : undefined
}

/** Two caches may have the same layer: where one loses it, it is fetched from the other. */
function withPlaces(record: CacheRecord, other: CacheRecord): CacheRecord {
  const layer = cachedOf(record)
  const same = cachedOf(other)
  if (layer === undefined || same === undefined) return record
  const isShared = layer.blobs.some(({ digest }) => same.blobs.some((blob) => blob.digest === digest))
  const places = [...new Set([...layer.places, ...same.places])]
  if (!isShared || places.length === layer.places.length) return record
  return { ...record, stored: { cached: cachedLayerJson({ ...layer, places }) } }
}
