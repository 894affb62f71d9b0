import { UserError } from '@tsbuild/errors'
import type { ImageForm } from '@tsbuild/exporter'
import type { FrontendResult } from '@tsbuild/frontend'
import type { Compression } from '@tsbuild/native'
import type { CompressionSpec, ImageLikeOutput } from './output-types.ts'
import type { BuildOptions } from './types.ts'

/** How the layers of an output are compressed; gzip 6 where it does not say. */
export function compressionOf(spec: CompressionSpec = { type: 'gzip' }): Compression {
  switch (spec.type) {
    case 'gzip':
      return { format: 'gzip', level: spec.level ?? 6 }
    case 'zstd':
      return { format: 'zstd', level: spec.level ?? 3 }
    case 'estargz':
      return { format: 'estargz', level: spec.level ?? 9 }
    case 'uncompressed':
      return { format: 'none', level: 0 }
  }
}

/** What an output says of `SOURCE_DATE_EPOCH`, else what the build does. Unix seconds. */
export function epochOf(
  { sourceDateEpoch }: Pick<ImageLikeOutput, 'sourceDateEpoch'>,
  image: Pick<FrontendResult, 'sourceDateEpoch'> | undefined,
): number | undefined {
  return sourceDateEpoch === undefined ? image?.sourceDateEpoch : (sourceDateEpoch ?? undefined)
}

function whatNeedsOci({ type }: CompressionSpec, annotations: number): string | undefined {
  if (type === 'zstd' || type === 'estargz') return `${type} layers`
  return annotations > 0 ? 'annotations' : undefined
}

/** The first generation of BuildKit whose images are OCI's by default. */
const firstOciVersion = 30

/**
 * What an output says about the form of its image, defaults filled in.
 *
 * @throws {UserError} `ERR_USAGE` where it contradicts itself
 */
export function formOf(
  output: ImageLikeOutput,
  { annotations = [] }: Pick<BuildOptions, 'annotations'>,
): ImageForm {
  const { compression = { type: 'gzip' }, forceCompression = false, rewriteTimestamp } = output
  const { compatibilityVersion = firstOciVersion, preferNonDistributable = false } = output
  const needsOci = whatNeedsOci(compression, annotations.length + (output.annotations ?? []).length)
  if (output.ociMediaTypes === false && needsOci !== undefined) {
    throw new UserError(
      'ERR_USAGE',
      `Cannot write ${needsOci} with oci-mediatypes=false: Docker's media types have nothing for them`,
    )
  }
  const isOci = output.ociMediaTypes ?? (needsOci !== undefined || compatibilityVersion >= firstOciVersion)
  return {
    compression: compressionOf(compression),
    forceCompression,
    mediaTypes: isOci ? 'oci' : 'docker',
    preferNonDistributable,
    rewriteTimestamp,
  }
}
