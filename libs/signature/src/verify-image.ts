import { isBuildError, UserError } from '@tsbuild/errors'
import { type Descriptor, familiarName, type ImageReference } from '@tsbuild/oci'
import { listAttached } from './attached.ts'
import { isSignatureOf } from './keys.ts'
import { parsePayload } from './payload.ts'
import { resolveImage } from './sign-image.ts'
import { signatureOf } from './signature-annotation.ts'
import type { SignaturePlace, StoredManifest, ValidSignature, VerifiedImage, VerifyOptions } from './types.ts'
import { type Finding, refusal } from './why-refused.ts'

/** A payload has a few hundred bytes. */
const mostPayloadBytes = 1024 * 1024

/**
 * Verifies that somebody with the key has signed an image: these bytes, with these annotations. Signatures that do not fit
 * are passed over as long as one does.
 *
 * @throws {UserError} `ERR_SIGNATURE_MISSING`, `ERR_SIGNATURE_INVALID`, `ERR_SIGNATURE_SUBJECT`, `ERR_SIGNATURE_CLAIMS`,
 *   each for what came nearest; `ERR_SIGNATURE_MOVED` if the tag means another image in the end; `ERR_IMAGE_NOT_FOUND`
 */
export async function verifyImage(
  place: SignaturePlace,
  reference: ImageReference,
  { key, annotations = {}, label = familiarName(reference) }: VerifyOptions,
): Promise<VerifiedImage> {
  const image = await resolveImage(place, reference, label)
  const { digest, mediaType } = image.descriptor
  const findings: Finding<ValidSignature>[] = []
  for (const { reference: at, blob } of await listAttached(place, reference, digest, 'sig')) {
    const payload = await readAttached(place, at, blob, mostPayloadBytes)
    findings.push(payload === undefined ? { kind: 'malformed' } : judge(payload, blob))
  }
  const signatures = findings.flatMap((finding) => (finding.kind === 'valid' ? [finding.value] : []))
  if (signatures.length === 0) throw refusal(label, 'signature', findings)
  await assertNotMoved(place, reference, image, label)
  return { digest, mediaType, signatures }

  function judge(payload: Uint8Array, blob: Descriptor): Finding<ValidSignature> {
    const signature = signatureOf(blob)
    if (signature === undefined) return { kind: 'malformed' }
    // Nothing in the payload is looked at before it is known to be the signer's.
    if (!isSignatureOf(key, payload, signature)) return { kind: 'key' }
    const signed = parsePayload(payload)
    if (signed === undefined) return { kind: 'malformed' }
    if (signed.digest !== digest) return { kind: 'subject', digest: signed.digest }
    const missing = Object.entries(annotations).find(
      ([name, value]) => ownValue(signed.annotations, name) !== value,
    )
    if (missing !== undefined) return { kind: 'claims', wanted: `${missing[0]}=${missing[1]}` }
    return { kind: 'valid', value: { identity: signed.identity, annotations: signed.annotations } }
  }
}

/** Reads a signed blob; undefined for one that is not what its descriptor says, or too large to be one. */
export async function readAttached(
  place: SignaturePlace,
  reference: ImageReference,
  blob: Descriptor,
  mostBytes: number,
): Promise<Uint8Array | undefined> {
  if (blob.size > mostBytes) return undefined
  try {
    return await place.read(reference, blob)
  } catch (error) {
    if (isBuildError(error) && unfit.has(error.code)) return undefined
    throw error
  }
}

const unfit = new Set(['ERR_DIGEST_MISMATCH', 'ERR_SIZE_MISMATCH', 'ERR_IMAGE_NOT_FOUND'])

/** Who goes on with the tag after this must not get what nobody has verified. */
export async function assertNotMoved(
  place: SignaturePlace,
  reference: ImageReference,
  { descriptor: { digest } }: StoredManifest,
  label: string,
): Promise<void> {
  if (reference.digest !== undefined) return
  const now = await place.resolve(reference)
  if (now?.descriptor.digest === digest) return
  throw new UserError(
    'ERR_SIGNATURE_MOVED',
    `Cannot verify "${label}": it meant ${digest}, which is signed, and means ${now?.descriptor.digest ?? 'nothing'} now`,
    { hints: [`Use the name with the digest: \`…@${digest}\`.`] },
  )
}

function ownValue(record: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined
}
