import type { DiffId, Digest } from '@tsbuild/digest'
import type { SnapshotId } from '@tsbuild/store'

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

/** The kind of {@link LayerRef} that comes with an image. */
export type ImageLayerRef = Extract<LayerRef, { kind: 'image' }>

/** `FROM scratch`. */
export const emptyFilesystem: Filesystem = { layers: [] }

/** A file system with one more layer on top. */
export function withLayer(base: Filesystem, layer: LayerRef): Filesystem {
  return { layers: [...base.layers, layer] }
}
