import { type Digest, digestHex } from '@tsbuild/digest'
import { familiarName, type ImageReference } from '@tsbuild/oci'
import { listAttached } from './attached.ts'
import { openStatement } from './envelope.ts'
import { resolveImage } from './sign-image.ts'
import type { SignaturePlace, ValidAttestation, VerifyAttestationOptions } from './types.ts'
import { assertNotMoved, readAttached } from './verify-image.ts'
import { type Finding, refusal } from './why-refused.ts'

/** The list of everything in a large image, with room to spare. */
export const mostEnvelopeBytes = 128 * 1024 * 1024

/**
 * Verifies that somebody with the key has said something of this type about an image.
 *
 * @throws {UserError} as `verifyImage`
 */
export async function verifyAttestation(
  place: SignaturePlace,
  reference: ImageReference,
  { key, predicateType, label = familiarName(reference) }: VerifyAttestationOptions,
): Promise<{ readonly digest: Digest; readonly attestations: readonly ValidAttestation[] }> {
  const image = await resolveImage(place, reference, label)
  const { digest } = image.descriptor
  const findings: Finding<ValidAttestation>[] = []
  for (const { reference: at, blob } of await listAttached(place, reference, digest, 'att')) {
    const envelope = await readAttached(place, at, blob, mostEnvelopeBytes)
    findings.push(envelope === undefined ? { kind: 'malformed' } : judge(envelope))
  }
  const attestations = findings.flatMap((finding) => (finding.kind === 'valid' ? [finding.value] : []))
  if (attestations.length === 0) throw refusal(label, 'attestation', findings)
  await assertNotMoved(place, reference, image, label)
  return { digest, attestations }

  function judge(envelope: Uint8Array): Finding<ValidAttestation> {
    const statement = openStatement(key, envelope)
    if (typeof statement === 'string') return { kind: statement }
    if (!statement.subjects.includes(digestHex(digest)))
      return { kind: 'subject', digest: `sha256:${statement.subjects[0] ?? ''}` }
    if (statement.predicateType !== predicateType) return { kind: 'claims', wanted: predicateType }
    return { kind: 'valid', value: { predicateType, predicate: statement.predicate } }
  }
}
