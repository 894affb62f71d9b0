import {
  type Descriptor,
  type ManifestOrIndex,
  mediaTypes,
  serializeIndex,
  serializeManifest,
} from '@tsbuild/oci'
import { cacheConfigType } from './types.ts'

/** A manifest or index of a cache. */
export interface CacheManifest {
  /** Of {@link cacheConfigType}. */
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

/** What {@link writeCacheManifest} writes. */
export interface CacheManifestForm {
  /** An image manifest whose config is the cache's, rather than an index that lists it among its layers. */
  readonly imageManifest: boolean
  /** Of an index; an image manifest always has them. */
  readonly ociMediaTypes: boolean
}

/** What a manifest or index says of a cache, in either form; undefined for one that is of an image. */
export function readCacheManifest(parsed: ManifestOrIndex): CacheManifest | undefined {
  if (parsed.type === 'manifest') {
    const { config, layers } = parsed.manifest
    return config.mediaType === cacheConfigType ? { config, layers } : undefined
  }
  const { manifests } = parsed.index
  const config = manifests.findLast(({ mediaType }) => mediaType === cacheConfigType)
  if (config === undefined) return undefined
  return { config, layers: manifests.filter(({ mediaType }) => mediaType !== cacheConfigType) }
}

/** The bytes of a cache's manifest as BuildKit writes it. Layers are in the order given. */
export function writeCacheManifest(
  { config, layers }: CacheManifest,
  { imageManifest, ociMediaTypes }: CacheManifestForm,
): { readonly mediaType: string; readonly bytes: Uint8Array } {
  if (imageManifest) {
    const mediaType = mediaTypes.ociManifest
    const oci = layers.map((layer) => withMediaTypes(layer, true))
    return { mediaType, bytes: serializeManifest({ mediaType, config, layers: oci, annotations: {} }) }
  }
  const mediaType = ociMediaTypes ? mediaTypes.ociIndex : mediaTypes.dockerManifestList
  const manifests = [...layers.map((layer) => withMediaTypes(layer, ociMediaTypes)), config]
  return { mediaType, bytes: serializeIndex({ mediaType, manifests, annotations: {} }) }
}

const pairs = [
  [mediaTypes.ociLayer, mediaTypes.dockerLayer],
  [mediaTypes.ociLayerGzip, mediaTypes.dockerLayerGzip],
] as const

/** Zstandard layers have no type of Docker's. */
function withMediaTypes(layer: Descriptor, oci: boolean): Descriptor {
  const pair = pairs.find((each) => each.some((mediaType) => mediaType === layer.mediaType))
  return pair === undefined ? layer : { ...layer, mediaType: oci ? pair[0] : pair[1] }
}
