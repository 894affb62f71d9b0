import { InternalError, UserError } from '@tsbuild/errors'
import { mediaTypes, type Platform, serializeIndex } from '@tsbuild/oci'
import { putDocument, withAnnotations } from './documents.ts'
import { typeIn } from './layer-types.ts'
import type { AssembledImage, AssembledTree, ExporterOptions, ImageForm, IndexAnnotations } from './types.ts'

/** An image, and what it is for. */
export interface PlatformImage {
  readonly platform: Platform
  readonly image: AssembledImage
}

/** See {@link assembleTree}. */
export interface TreeParts {
  /** In the order asked for. */
  readonly images: readonly PlatformImage[]
  readonly mediaTypes: ImageForm['mediaTypes']
  readonly annotations?: IndexAnnotations | undefined
  /**
   * Makes what is said about an image, in the form of one, stored as {@link AssembledImage} says; the annotations of its
   * descriptor say what it is about. Undefined where nothing is said.
   */
  readonly attestationsOf?:
    | ((image: AssembledImage, platform: Platform) => Promise<AssembledImage | undefined>)
    | undefined
}

/** The platform of what is no image: nobody runs it. */
const nowhere: Platform = { os: 'unknown', architecture: 'unknown' }

/**
 * Puts images together under one name. One image about which nothing is said is its own root; all else is an index, with the
 * images in the order given and then what is said about them.
 *
 * @throws {UserError} `ERR_USAGE` for annotations of an index where there is none
 */
export async function assembleTree(options: ExporterOptions, parts: TreeParts): Promise<AssembledTree> {
  const { images, attestationsOf } = parts
  const found = await Promise.all(images.map(({ image, platform }) => attestationsOf?.(image, platform)))
  const attestations = found.filter((attestation) => attestation !== undefined)
  const [first] = images
  if (first === undefined) throw new InternalError('ERR_INTERNAL', 'an image is made for no platform')
  if (images.length === 1 && attestations.length === 0) {
    if (parts.annotations !== undefined) refuseIndexAnnotations(parts.annotations)
    const { image } = first
    return { root: image.manifest, rootBytes: image.manifestBytes, manifests: [image] }
  }
  const mediaType = typeIn(parts.mediaTypes, mediaTypes.ociIndex)
  const rootBytes = serializeIndex({
    mediaType,
    manifests: [
      ...images.map(({ image, platform }) => ({ ...image.manifest, platform })),
      ...attestations.map(({ manifest }) => ({ ...manifest, platform: nowhere })),
    ],
    annotations: parts.annotations?.index ?? {},
  })
  const stored = await putDocument(options.store, mediaType, rootBytes)
  return {
    root: withAnnotations(stored, parts.annotations?.indexDescriptor),
    rootBytes,
    manifests: [...images.map(({ image }) => image), ...attestations],
  }
}

/** For an image without an index. @throws {UserError} `ERR_USAGE` if there are any */
export function refuseIndexAnnotations({ index, indexDescriptor }: IndexAnnotations): void {
  const [name] = [...Object.keys(index), ...Object.keys(indexDescriptor)]
  if (name === undefined) return
  throw new UserError(
    'ERR_USAGE',
    `Cannot set annotation "${name}" of an index: an image for one platform has none`,
    { hints: ['Annotate the manifest, or build for several platforms.'] },
  )
}
