import { parseDiffId, parseDigest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { CompressionFormat, LayerForm, LayerFormat, WrittenLayer } from '@tsbuild/native'
import type { StoredForm, StoredLayer } from '@tsbuild/store'

/** A descriptor, with the annotations that estargz wants, and the diffID. */
export type LayerBlob = Omit<StoredLayer, 'form'>

/** As the store keeps it with the snapshot. */
export function storedLayer(layer: LayerBlob, form: StoredForm | undefined): StoredLayer {
  return { ...layer, form }
}

/** The encoders of the helper whose bytes are not those of the first one. @see docs/adr/0042-gzip-by-effort.md */
const encoders: Readonly<Record<CompressionFormat, string>> = {
  none: 'none',
  gzip: 'gzip.2',
  estargz: 'estargz.2',
  zstd: 'zstd',
}

/** A layer form in one level of members, which is another one for each encoder: blobs of an earlier one are not taken for ours. */
export function storedForm({ compression: { format, level }, clampMtime }: LayerForm): StoredForm {
  // Plain tar has no level.
  return { format: encoders[format], level: format === 'none' ? 0 : level, clampMtime }
}

/**
 * What the helper wrote, as a blob.
 *
 * @see https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md for the annotations
 */
export function layerBlobOf(
  { digest, sizeBytes, diffId, unpackedBytes, tocDigest }: WrittenLayer,
  format: CompressionFormat,
): LayerBlob {
  const blob = {
    diffId: parseDiffId(diffId),
    mediaType: layerMediaType(format),
    digest: parseDigest(digest),
    size: sizeBytes,
  }
  if (tocDigest === null) return blob
  const annotations = {
    'containerd.io/snapshot/stargz/toc.digest': parseDigest(tocDigest),
    'io.containers.estargz.uncompressed-size': String(unpackedBytes),
  }
  return { ...blob, annotations }
}

/**
 * How the blob of a layer is compressed, by its media type.
 * @throws {UserError} `ERR_UNSUPPORTED` for a type that is none of a layer
 */
export function layerFormat(mediaType: string): LayerFormat {
  const format = knownFormat(mediaType)
  if (format !== undefined) return format
  throw new UserError('ERR_UNSUPPORTED', `Cannot unpack a layer of media type "${mediaType}"`)
}

/** As {@link layerFormat}; undefined for a type that is none of a layer. */
export function knownFormat(mediaType: string): LayerFormat | undefined {
  if (/[+.]zstd$/.test(mediaType)) return 'zstd'
  if (/[+.]gzip$/.test(mediaType)) return 'gzip'
  return /\.tar$/.test(mediaType) ? 'none' : undefined
}

/** The OCI media type of a layer in a compression; estargz has that of gzip. */
export function layerMediaType(format: CompressionFormat): string {
  const base = 'application/vnd.oci.image.layer.v1.tar'
  return format === 'none' ? base : `${base}+${format === 'estargz' ? 'gzip' : format}`
}
