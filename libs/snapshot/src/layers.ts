import type { DiffId, Digest } from '@tsbuild/digest'
import type { SnapshotId, StoredLayer } from '@tsbuild/store'

/** A file system that is only described: its layers, lowest first. Files appear when somebody reads them. */
export interface Filesystem {
  readonly layers: readonly LayerRef[]
}

/** One layer of a {@link Filesystem}. */
export type LayerRef =
  /** Made by a step of ours: a snapshot. */
  | { readonly kind: 'snapshot'; readonly id: SnapshotId /** Unix ms */; readonly createdAt: number }
  /** Of a base image: a blob, in the store or still in its registry. */
  | {
      readonly kind: 'image'
      /** The image it came with, in full form. */
      readonly reference: string
      readonly mediaType: string
      readonly digest: Digest
      /** In bytes. */
      readonly size: number
      readonly diffId: DiffId
    }
  | CachedLayerRef

/**
 * Made by a step elsewhere, and found in a cache that others fill: nothing of it may be here. Its blob is fetched when somebody
 * reads its files, or wants it in a form that no blob has.
 */
export interface CachedLayerRef {
  readonly kind: 'cached'
  /** In each form that the cache has; at least one. */
  readonly blobs: readonly StoredLayer[]
  /** Where blobs are: names of caches of this build, for `fetchCached`. */
  readonly places: readonly string[]
  /** Unix ms. */
  readonly createdAt: number
}

/** One of {@link CachedLayerRef.blobs}. */
export interface CachedBlobRef extends StoredLayer {
  readonly kind: 'cached-blob'
  readonly layer: CachedLayerRef
}

/** A layer whose blob may have to be fetched. */
export type BlobRef = ImageLayerRef | CachedBlobRef

/** The kind of {@link LayerRef} that comes with an image. */
export type ImageLayerRef = Extract<LayerRef, { kind: 'image' }>

/** `FROM scratch`. */
export const emptyFilesystem: Filesystem = { layers: [] }

/** A file system with one more layer on top. */
export function withLayer(base: Filesystem, layer: LayerRef): Filesystem {
  let layers: readonly LayerRef[] | undefined
  const filesystem = {
    // Put together when somebody asks: a build that finds 2,000 steps asks for the layers of the last one.
    get layers() {
      layers ??= layersOf(filesystem)
      return layers
    },
  }
  stacked.set(filesystem, { base, layer })
  return filesystem
}

const stacked = new WeakMap<Filesystem, { readonly base: Filesystem; readonly layer: LayerRef }>()

function layersOf(filesystem: Filesystem): readonly LayerRef[] {
  const above: LayerRef[] = []
  let below = filesystem
  for (let top = stacked.get(below); top !== undefined; top = stacked.get(below)) {
    above.push(top.layer)
    below = top.base
  }
  return [...below.layers, ...above.reverse()]
}
