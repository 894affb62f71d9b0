import { UserError } from '@tsbuild/errors'
import { formatReference, type ImageReference, parseReference, withDefaultTag } from '@tsbuild/oci'
import {
  attestImage,
  predicateTypeOf,
  readSigningKey,
  readVerifyingKey,
  registryPlace,
  type SignedImage,
  type SigningKey,
  signImage,
  verifyAttestation,
  verifyImage,
} from '@tsbuild/signature'
import type { Machine } from './machine.ts'
import { signedPlace } from './signature-places.ts'
import type { KeyText, SignatureCalls, SignedImageReport } from './signature-types.ts'

export { generateSigningKeyPair } from '@tsbuild/signature'

/** The calls about signatures, with the registry client of a builder. */
export function signaturesOf(machine: Machine): SignatureCalls {
  const { registry } = machine
  return {
    async signImage({ image, key, signal, ...options }) {
      const reference = readName(image)
      const signing = await signingKeyOf(key)
      const signed = await signImage(registryPlace(registry(), signal), reference, {
        ...options,
        key: signing,
      })
      return signed.map((one) => reportOf(reference, one))
    },
    async attestImage({ image, key, predicateType, signal, ...options }) {
      const reference = readName(image)
      const type = predicateTypeOf(predicateType)
      const signing = await signingKeyOf(key)
      const attestation = { ...options, key: signing, predicateType: type }
      const made = await attestImage(registryPlace(registry(), signal), reference, attestation)
      return reportOf(reference, made)
    },
    async verifyImage({ image, key, annotations, predicateType, cwd, signal }) {
      const verifying = readVerifyingKey(key.pem, key.name)
      const { place, reference, label, named } = signedPlace(machine, image, { cwd, signal })
      if (predicateType === undefined) {
        const wanted = { key: verifying, annotations, label }
        const { digest, signatures } = await verifyImage(place, reference, wanted)
        return { image: named(digest), digest, signatures }
      }
      const wanted = { key: verifying, predicateType: predicateTypeOf(predicateType), label }
      const { digest, attestations } = await verifyAttestation(place, reference, wanted)
      return { image: named(digest), digest, attestations }
    },
  }
}

/** Reads a private key, asking for its password where it has one. @throws {UserError} `ERR_SIGNATURE_KEY` */
export async function signingKeyOf({ pem, name, password }: KeyText): Promise<SigningKey> {
  return await readSigningKey(pem, name, async () => {
    if (password !== undefined) return await password()
    throw new UserError(
      'ERR_SIGNATURE_KEY',
      `Cannot read key "${name}": it has a password, and none was given`,
    )
  })
}

function readName(image: string): ImageReference {
  return withDefaultTag(parseReference(image))
}

function reportOf(reference: ImageReference, { digest, place, added }: SignedImage): SignedImageReport {
  return { image: nameOf(reference, digest), place: formatReference(place), added }
}

function nameOf({ registry, repository }: ImageReference, digest: SignedImage['digest']): string {
  return formatReference({ registry, repository, digest })
}
