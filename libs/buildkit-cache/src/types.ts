import type { DiffId, Digest } from '@tsbuild/digest'
import type { Descriptor } from '@tsbuild/oci'

/** Media type of {@link CacheConfig}. */
export const cacheConfigType = 'application/vnd.buildkit.cacheconfig.v0'

/**
 * BuildKit's cache: layers by their place, and records that name them. Members of other names are kept out of the value but
 * may be in the text: BuildKit ignores them, which is where our own records are.
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
  /** For each input the alternatives: a record by its place, and the selector of what is read of it. */
  readonly inputs: readonly (readonly { readonly selector: string; readonly record: number }[])[]
  /** Layer chains by the place of their topmost layer. */
  readonly results: readonly { readonly layer: number; readonly createdAt: number | undefined }[]
}
