import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  familiarName,
  formatReference,
  type ImageReference,
  isIndexType,
  isManifestType,
  parseIndex,
} from '@tsbuild/oci'
import { attach, listAttached } from './attached.ts'
import { isSignatureOf, publicHalf, signBytes } from './keys.ts'
import { serializePayload } from './payload.ts'
import { signatureAnnotation, signatureOf } from './signature-annotation.ts'
import type { SignedImage, SignOptions, StoredManifest, WritableSignaturePlace } from './types.ts'

/**
 * Signs an image by its digest, as `cosign sign` does: what is signed are the bytes that the reference means now.
 *
 * A signature of the same key for the same words that is there already is not repeated.
 *
 * @returns one entry for the image, and with `recursive` one for each image of an index
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`; what the place throws
 */
export async function signImage(
  place: WritableSignaturePlace,
  reference: ImageReference,
  options: SignOptions,
): Promise<readonly SignedImage[]> {
  const image = await resolveImage(place, reference)
  const targets = [image.descriptor, ...(options.recursive === true ? childrenOf(image) : [])]
  const signed: SignedImage[] = []
  for (const descriptor of targets) signed.push(await signOne(place, reference, descriptor, options))
  return signed
}

/** Finds what a reference means. @throws {UserError} `ERR_IMAGE_NOT_FOUND` */
export async function resolveImage(
  place: Pick<WritableSignaturePlace, 'resolve'>,
  reference: ImageReference,
  label = familiarName(reference),
): Promise<StoredManifest> {
  const image = await place.resolve(reference)
  if (image !== undefined) return image
  throw new UserError('ERR_IMAGE_NOT_FOUND', `Cannot find image "${label}": there is none`)
}

async function signOne(
  place: WritableSignaturePlace,
  { registry, repository }: ImageReference,
  descriptor: Descriptor,
  { key, annotations = {}, referrers = false }: SignOptions,
): Promise<SignedImage> {
  const { digest } = descriptor
  const reference = { registry, repository }
  const payload = serializePayload(formatReference(reference), digest, annotations)
  const verifying = publicHalf(key)
  for (const { reference: there, blob } of await listAttached(place, reference, digest, 'sig')) {
    const signature = signatureOf(blob)
    if (signature === undefined || blob.size !== payload.length) continue
    if (isSignatureOf(verifying, payload, signature)) return { digest, place: there, added: false }
  }
  const signature = signBytes(key, payload).toString('base64')
  const added = { kind: 'sig', bytes: payload, annotations: { [signatureAnnotation]: signature } } as const
  return { digest, place: await attach(place, { reference, descriptor }, added, referrers), added: true }
}

function childrenOf({ bytes, descriptor }: StoredManifest): readonly Descriptor[] {
  if (!isIndexType(descriptor.mediaType)) return []
  return parseIndex(bytes, descriptor.mediaType).manifests.filter(
    ({ mediaType }) => isManifestType(mediaType) || isIndexType(mediaType),
  )
}
