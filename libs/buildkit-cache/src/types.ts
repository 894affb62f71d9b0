import type { DiffId, Digest } from '@tsbuild/digest'
import type { Descriptor } from '@tsbuild/oci'

/** Media type of {@link CacheConfig}. */
export const cacheConfigType = 'application/vnd.buildkit.cacheconfig.v0'

/** More than this BuildKit does not read: of a config, and of the manifest that names it. In bytes. */
export const maxBuildkitDocumentBytes = 1024 * 1024

/**
 * BuildKit's cache: layers by their place, and records that name them. Every place is one that there is, and neither layers nor
 * records go in circles.
 *
 * @see spec/interface.md 5.3
 */
export interface CacheConfig {
  readonly layers: readonly CacheLayer[]
  readonly records: readonly BuildkitRecord[]
}

/** A layer, upon the one that `parent` names. */
export interface CacheLayer {
  readonly blob: Digest
  /** Place in {@link CacheConfig.layers}; -1: none. */
  readonly parent: number
  readonly descriptor: Descriptor
  readonly diffId: DiffId | undefined
  /** Unix ms. */
  readonly createdAt: number | undefined
}

/** A result of BuildKit's solver, by its key: a digest, and for each input the records that it may have been made upon. */
export interface BuildkitRecord {
  readonly digest: Digest
  /** For each input the alternatives: a record by its place, and the selector of what is read of it; '' for none. */
  readonly inputs: readonly (readonly RecordLink[])[]
  /** Layer chains by the place of their topmost layer. */
  readonly results: readonly RecordResult[]
  /** Layer chains by the places of all their layers, lowest first; the parents of those layers do not count. */
  readonly chains: readonly ChainedResult[]
}

/** See {@link BuildkitRecord.inputs}. */
export interface RecordLink {
  readonly selector: string
  readonly record: number
}

/** See {@link BuildkitRecord.results}. */
export interface RecordResult {
  readonly layer: number
  /** Unix ms. */
  readonly createdAt: number | undefined
}

/** See {@link BuildkitRecord.chains}. */
export interface ChainedResult {
  readonly layers: readonly number[]
  /** Unix ms. */
  readonly createdAt: number | undefined
}
