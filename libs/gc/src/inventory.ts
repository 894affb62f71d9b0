import type { Digest } from '@tsbuild/digest'
import type { Store, StoreEntry, StoreEntryKind } from '@tsbuild/store'
import { addBlobs } from './blob-items.ts'
import { addFailures } from './failure-items.ts'
import { findReferrers, reachImages } from './image-blobs.ts'
import { ItemList } from './item-list.ts'
import { addOthers } from './other-items.ts'
import { addSources } from './source-items.ts'
import { addSteps } from './step-items.ts'
import type { Inventory } from './types.ts'

/** What of a store an inventory is made of. */
export type InventoryStore = Pick<Store, 'blobs' | 'images' | 'space'>

/**
 * Looks through a store: what lies in it, what it is to people, and what needs what. Of a store in use it is a little wrong at
 * once; whatever acts on it asks again when it deletes.
 *
 * @param now Unix ms
 * @throws {EnvironmentError} `ERR_STORE_CORRUPT` if the image list cannot be read: then nobody knows what is needed
 */
export async function takeInventory(store: InventoryStore, now: number): Promise<Inventory> {
  // The list of images first: an image that is named after this has blobs that are in use.
  const images = store.images.all()
  const entries = await store.space.list()
  const byKind = groupByKind(entries)
  const of = (kind: StoreEntryKind): readonly StoreEntry[] => byKind.get(kind) ?? []
  const list = new ItemList()
  const blobs = addBlobs(list, of('blob'), {
    images: reachImages(store.blobs, images),
    // What is about a named image belongs to it; found among what nothing else names.
    withReferrers: (candidates: Iterable<Digest>) =>
      reachImages(store.blobs, images, findReferrers(store.blobs, candidates)),
  })
  const steps = addSteps(list, {
    records: of('record'),
    snapshots: of('snapshot'),
    lists: of('file-list'),
    blobs,
    now,
  })
  addFailures(list, of('failure'), { blobs, snapshots: steps.snapshots })
  addSources(list, { trees: of('source'), names: of('source-name'), works: of('source-work') })
  addOthers(list, of, now)
  blobs.finish()
  steps.finish()
  return {
    items: list.items(),
    totalBytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
    unreadableImages: blobs.unreadableImages,
  }
}

function groupByKind(entries: readonly StoreEntry[]): ReadonlyMap<StoreEntryKind, readonly StoreEntry[]> {
  const groups = new Map<StoreEntryKind, StoreEntry[]>()
  for (const entry of entries) {
    const group = groups.get(entry.kind)
    if (group === undefined) groups.set(entry.kind, [entry])
    else group.push(entry)
  }
  return groups
}
