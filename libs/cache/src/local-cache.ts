import type { Digest } from '@tsbuild/digest'
import type { CacheRecord, CacheStore } from '@tsbuild/solver'
import type { Store } from '@tsbuild/store'
import { decodeRecord, encodeRecord } from './record-codec.ts'

/** The records of the local store, as the solver reads them. */
export interface LocalCache extends CacheStore {
  /** Resolves when all links made so far are durable, or given up. */
  settled(): Promise<void>
}

/** Opens the cache of a store. A record that cannot be read is a miss. */
export function createLocalCache(store: Store): LocalCache {
  const links: Promise<void>[] = []
  return {
    load(key) {
      const text = store.records.get(key)
      return text === undefined ? undefined : decodeRecord(text)
    },
    link(key: Digest, record: CacheRecord) {
      // A link only saves work; a build does not fail for want of one.
      links.push(store.records.put([{ keys: [key], text: encodeRecord(record) }]).catch(() => {}))
    },
    settled: async () => void (await Promise.all(links)),
  }
}
