import { type Digest, digestFromHex } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import { familiarName, parseReference } from '@tsbuild/oci'
import type { StoreEntry } from '@tsbuild/store'
import type { ReachedImage } from './image-blobs.ts'
import type { ItemList } from './item-list.ts'
import { fetchMs } from './value.ts'

/** Blobs as parts of whatever names them. */
export interface BlobItems {
  /** The item of a blob that somebody names. @param hex of its digest; undefined where it is not in the store */
  need(hex: string): number | undefined
  /** Of the blob; 0 where it is not there. */
  bytes(hex: string): number
  /** What images it belongs to, one of their names; undefined for none. */
  imageOf(hex: string): string | undefined
  readonly unreadableImages: readonly string[]
  /** Deals with the blobs that nobody needed. */
  finish(): void
}

/** Adds named images and blobs. */
export function addBlobs(
  list: ItemList,
  entries: readonly StoreEntry[],
  found: {
    readonly images: readonly ReachedImage[]
    readonly withReferrers: (candidates: Iterable<Digest>) => readonly ReachedImage[]
  },
): BlobItems {
  const indexes = new Map<string, number>()
  const needed = new Set<string>()
  for (const entry of entries) {
    const { id } = entry
    const description = `blob sha256:${id.slice(0, 12)}`
    indexes.set(id, list.add({ id, kind: 'base', description, standing: { as: 'part' }, entries: [entry] }))
  }
  const imageOf = new Map<string, string>()
  const items = found.images.map((image) => {
    const name = nameOf(image)
    return list.add({ id: name, kind: 'image', description: name, standing: { as: 'fixed', code: 'image' } })
  })
  const takeIn = (images: readonly ReachedImage[]) => {
    for (const [at, image] of images.entries()) {
      const item = items[at]
      for (const hex of image.blobs) {
        const blob = indexes.get(hex)
        if (blob === undefined || item === undefined) continue
        list.at(item).parts.add(blob)
        list.at(blob).kind = 'image'
        imageOf.set(hex, imageOf.get(hex) ?? nameOf(image))
        needed.add(hex)
      }
    }
  }
  takeIn(found.images)
  return {
    need(hex) {
      needed.add(hex)
      return indexes.get(hex)
    },
    bytes(hex) {
      const index = indexes.get(hex)
      return index === undefined ? 0 : list.at(index).entries.reduce((sum, { bytes }) => sum + bytes, 0)
    },
    imageOf: (hex) => imageOf.get(hex),
    unreadableImages: found.images.filter(({ isWhole }) => !isWhole).map(nameOf),
    finish() {
      const loose = () => [...indexes.keys()].filter((hex) => !needed.has(hex))
      const candidates = loose().map(digestFromHex)
      if (candidates.length > 0 && found.images.length > 0) takeIn(found.withReferrers(candidates))
      for (const hex of loose()) {
        const draft = list.at(indexes.get(hex) ?? -1)
        // A manifest of an image that was pulled, or of a name that is another image now: it can be fetched or made again.
        draft.standing = { as: 'cache' }
        draft.rebuildMs = fetchMs(draft.entries.reduce((sum, { bytes }) => sum + bytes, 0))
      }
    },
  }
}

function nameOf({ names, digest }: ReachedImage): string {
  return names.length === 0 ? digest : names.map(familiar).join(', ')
}

/** The list may have names that another tool gave. */
function familiar(name: string): string {
  try {
    return familiarName(parseReference(name))
  } catch (error) {
    if (!isBuildError(error)) throw error
    return name
  }
}
