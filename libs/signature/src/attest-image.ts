import { digestHex } from '@tsbuild/digest'
import { formatReference, type ImageReference } from '@tsbuild/oci'
import { attach } from './attached.ts'
import { sealStatement } from './envelope.ts'
import { resolveImage } from './sign-image.ts'
import type { SignedImage, SigningKey, WritableSignaturePlace } from './types.ts'

/** How something is said about an image. */
export interface AttestOptions {
  readonly key: SigningKey
  readonly predicateType: string
  /** Any JSON value. */
  readonly predicate: unknown
  /** Stored as a referrer of the image instead of under the tag that its digest makes. */
  readonly referrers?: boolean | undefined
}

/**
 * Says something about an image and signs it, as `cosign attest` does: an in-toto statement in a DSSE envelope.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`; what the place throws
 * @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
 */
export async function attestImage(
  place: WritableSignaturePlace,
  reference: ImageReference,
  { key, predicateType, predicate, referrers = false }: AttestOptions,
): Promise<SignedImage> {
  const { descriptor } = await resolveImage(place, reference)
  const { registry, repository } = reference
  const about = { name: formatReference({ registry, repository }), hex: digestHex(descriptor.digest) }
  const bytes = sealStatement(key, about, { predicateType, predicate })
  // cosign looks for the first of these though it is empty.
  const annotations = { 'dev.cosignproject.cosign/signature': '', predicateType }
  const image = { reference, descriptor }
  const at = await attach(place, image, { kind: 'att', bytes, annotations }, referrers)
  return { digest: descriptor.digest, place: at, added: true }
}
