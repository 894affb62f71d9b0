import type { DiffId, Digest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { LayerFormat } from '@tsbuild/native'
import type { LayerInfo } from '@tsbuild/store'

/** How a layer blob is described. */
export interface LayerBlob {
  readonly diffId: DiffId
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
}

/** As the store keeps it with the snapshot. */
export function layerInfo(layer: LayerBlob): LayerInfo {
  const { diffId, mediaType, digest, size } = layer
  return { diffId, blobs: [{ mediaType, digest, size }] }
}

/** How the blob of a layer is compressed, by its media type. */
export function layerFormat(mediaType: string): LayerFormat {
  if (/[+.]zstd$/.test(mediaType)) return 'zstd'
  if (/[+.]gzip$/.test(mediaType)) return 'gzip'
  if (/\.tar$/.test(mediaType)) return 'none'
  throw new UserError('ERR_UNSUPPORTED', `Cannot unpack a layer of media type "${mediaType}"`)
}

/** The OCI media type of a layer in a compression. */
export function layerMediaType(format: LayerFormat): string {
  const base = 'application/vnd.oci.image.layer.v1.tar'
  return format === 'none' ? base : `${base}+${format}`
}
