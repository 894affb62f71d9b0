import type { DiffId, Digest } from '@tsbuild/digest'
import type { EventSink } from '@tsbuild/events'
import type { ImageDraft } from '@tsbuild/frontend'
import type { Compression, Native } from '@tsbuild/native'
import type { Descriptor } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import type { BlobRef, Filesystem, LayerRef, Snapshotter } from '@tsbuild/snapshot'
import type { Store } from '@tsbuild/store'

/** What exporters work with. */
export interface ExporterOptions {
  readonly store: Store
  readonly native: Native
  readonly snapshotter: Snapshotter
  /** Opened at the first push. */
  readonly registry: () => RegistryClient
  /** Brings the blob of a layer that is elsewhere into the store: of a base image, or of a step that a cache has. */
  readonly fetch: (layer: BlobRef, signal: AbortSignal) => Promise<void>
}

/** One export under way: how it is shown and given up. */
export interface ExportContext {
  /** The vertex of the export. */
  readonly vertex: Digest
  readonly events: EventSink
  readonly now: () => number
  readonly signal: AbortSignal
}

/** What an image is made from. */
export interface ImageParts {
  readonly draft: ImageDraft
  readonly filesystem: Filesystem
  readonly form: ImageForm
  /** Unix seconds; sets every time in config and history. */
  readonly sourceDateEpoch: number | undefined
  readonly annotations?: ImageAnnotations | undefined
  readonly configMembers?: ConfigMembers | undefined
}

/** Members of an image config besides those of the image, made when its layers are: a cache within the image. */
export type ConfigMembers = (layers: readonly ConfigLayer[]) => Promise<Readonly<Record<string, unknown>>>

/** A layer of an image that is being made; lowest first. */
export interface ConfigLayer {
  readonly ref: LayerRef
  /** Of its blob in the image. */
  readonly digest: Digest
  readonly diffId: DiffId
}

/** The form of an image, which its files do not tell. */
export interface ImageForm {
  readonly compression: Compression
  /** Layers of a base image are compressed so, too. */
  readonly forceCompression: boolean
  readonly mediaTypes: 'oci' | 'docker'
  /** Layers that must not be distributed keep the media type that says so. */
  readonly preferNonDistributable: boolean
  /**
   * Times in layers of this build that are later than `sourceDateEpoch`, and those that were taken from a clock, become it.
   * Undefined: where there is one. @see docs/adr/0030-source-date-epoch.md
   */
  readonly rewriteTimestamp: boolean | undefined
}

/** Of one image. */
export interface ImageAnnotations {
  readonly manifest: Annotations
  /** Of the descriptor that names the manifest. */
  readonly manifestDescriptor: Annotations
}

/** Of an index. */
export interface IndexAnnotations {
  readonly index: Annotations
  /** Of the descriptor that names the index. */
  readonly indexDescriptor: Annotations
}

type Annotations = Readonly<Record<string, string>>

/** An image whose config and manifest are in the store, or something else that has the form of one: an attestation. */
export interface AssembledImage {
  readonly manifest: Descriptor
  readonly manifestBytes: Uint8Array
  readonly config: Descriptor
  /** Lowest first; layers of a base image may still be in their registry only. */
  readonly layers: readonly AssembledLayer[]
}

/** See {@link AssembledImage.layers}. */
export interface AssembledLayer {
  readonly descriptor: Descriptor
  /** The base image it came with, or the cache; undefined for layers of this build. */
  readonly origin: BlobRef | undefined
}

/** What a name stands for: one image, or an index of several and of what is said about them. All documents are in the store. */
export interface AssembledTree {
  readonly root: Descriptor
  readonly rootBytes: Uint8Array
  /** In the order of the index: images, then what is said about them. Of a tree without an index the root itself. */
  readonly manifests: readonly AssembledImage[]
}

/** Something said about one image that is stored with it. The in-toto statement is put around it when the digest is known. */
export interface Attestation {
  /** For example `https://slsa.dev/provenance/v1`, `https://spdx.dev/Document`. */
  readonly predicateType: string
  /** Any JSON; the same input gives the same text. */
  readonly predicate: Readonly<Record<string, unknown>>
}
