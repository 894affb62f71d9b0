import type { Digest, KeyValue } from '@tsbuild/digest'
import type { CachedBlobRef, CachedLayerRef, CachedLayers } from '@tsbuild/snapshot'
import type { CacheRecord, CacheStore } from '@tsbuild/solver'
import type { Store } from '@tsbuild/store'
import type { CacheImporter } from '../types.ts'
import { fetchCached, goneLayer } from './fetch-cached.ts'
import { createGuard, type GuardOptions } from './guard.ts'
import {
  type AskedImporter,
  createLookUps,
  type GuardedImporter,
  keysOf,
  lookUpMs,
  planAll,
} from './look-ups.ts'
import { cachedOf, createFoundRecords } from './merge-found.ts'
import { createWaitBudget } from './wait-budget.ts'

/** What the caches of a build work with. */
export interface CachesOptions extends GuardOptions {
  /** In the order in which they count. */
  readonly importers: readonly CacheImporter[]
  readonly store: Store
  readonly now: () => number
}

/** The caches that a build reads, as one. */
export interface Caches {
  /**
   * Records of the store, and what the caches have besides.
   *
   * @param isHere whether what a record of the store names can be had
   */
  over(local: CacheStore, isHere: (stored: KeyValue) => boolean): CacheStore
  /** Where the layers of found records come from. A layer that does not come counts as gone from then on. */
  readonly layers: CachedLayers
  /** Whether a layer can be had, as far as that is known. */
  has(layer: CachedLayerRef): boolean
  /** Whether a layer turned out not to be had. */
  isRefused(layer: CachedLayerRef): boolean
  /** What is to be said of a step that no cache has, in a few words; undefined where there is none. */
  readonly nothingFound: () => string | undefined
  /** Nothing that was found counts from now on. */
  refuseAll(): void
  close(): Promise<void>
}

/** Puts the caches of a build together. Nothing is asked before the solver asks. */
export function openCaches(options: CachesOptions): Caches {
  const { store, now } = options
  const importers: readonly AskedImporter[] = options.importers.map((importer) => ({
    importer,
    guard: createGuard(importer.name, 'from', options),
    budget: createWaitBudget(lookUpMs, now),
  }))
  const found = createFoundRecords()
  const lookUps = createLookUps(importers, found)
  const refused = new Set<string>()
  const asked = new Set<Digest>()
  let isRefused = false
  const isUsable = (record: CacheRecord) => {
    const layer = cachedOf(record)
    return layer !== undefined && !isGone(layer)
  }
  const foundFor = (key: Digest) => {
    const record = found.get(key)
    return record !== undefined && isUsable(record) ? record : undefined
  }
  const isGone = (layer: CachedLayerRef) => isRefused || refused.has(nameOf(layer))
  return {
    isRefused: isGone,
    over(local, isHere) {
      const load: CacheStore['load'] = (key, isYoung = () => true) => {
        const here = local.load(key)
        const there = foundFor(key)
        if (there === undefined) return here
        if (here === undefined || !isHere(here.stored)) return there
        return !isYoung(here) && isYoung(there) ? there : here
      }
      return {
        ...local,
        load,
        async prepare(steps, signal) {
          const known = (key: Digest) => {
            const here = local.load(key)
            return here !== undefined && isHere(here.stored) ? here : foundFor(key)
          }
          await planAll(importers, steps, found, { known, now, signal })
          for (const key of keysOf(steps, load)) asked.add(key)
        },
        async ask(wanted, signal) {
          if (asked.has(wanted.key)) return false
          asked.add(wanted.key)
          return await lookUps.find(wanted, signal)
        },
      }
    },
    layers: {
      async fetch(blob, signal, watcher) {
        try {
          await fetchCached({ store, importers }, blob, signal, watcher)
        } catch (error) {
          if (!signal.aborted) refused.add(nameOf(blob.layer))
          throw error
        }
      },
      refuse(blob, error) {
        refused.add(nameOf(blob.layer))
        complainOf(importers, blob, error)
        return goneLayer(blob, error)
      },
    },
    has: (layer) => {
      if (isGone(layer)) return false
      return importers.some(({ importer, guard }) => guard.isAlive && layer.places.includes(importer.name))
    },
    nothingFound: () => {
      const [one, ...more] = importers
      if (one === undefined) return undefined
      const [alive] = importers.filter(({ guard }) => guard.isAlive)
      if (alive === undefined) return 'first build here, and no cache could be asked'
      return more.length === 0
        ? 'not in the cache, nor built here'
        : `in none of ${more.length + 1} caches, nor built here`
    },
    refuseAll: () => {
      isRefused = true
    },
    async close() {
      await Promise.allSettled(importers.map(({ importer }) => importer.close()))
    },
  }
}

/** Two records of one layer are refused together. */
function nameOf({ blobs }: CachedLayerRef): string {
  return blobs
    .map(({ digest }) => digest)
    .toSorted()
    .join(' ')
}

function complainOf(importers: readonly GuardedImporter[], blob: CachedBlobRef, error: unknown): void {
  for (const { importer, guard } of importers)
    if (blob.layer.places.includes(importer.name)) guard.complain(error)
}
