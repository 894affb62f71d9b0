import type { Digest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { type Descriptor, formatReference, type ImageReference } from '@tsbuild/oci'
import { attachAll, attachedTag, identityOf, layersUnder } from './attached.ts'
import type { SignaturePlace, WritableSignaturePlace } from './types.ts'
import { mostEnvelopeBytes } from './verify-attestation.ts'

/**
 * Brings what cosign's tags hold about an image to another place. What is there already stays, and nothing of it is repeated. It is
 * copied as it is: nothing is verified but digests.
 *
 * @returns how many signatures and attestations were added
 * @throws {UserError} `ERR_SIGNATURE_INVALID` for one that nobody would read, for it is too large
 */
export async function copyAttached(
  from: { readonly place: SignaturePlace; readonly reference: ImageReference },
  to: { readonly place: WritableSignaturePlace; readonly reference: ImageReference },
  digest: Digest,
): Promise<number> {
  let added = 0
  for (const kind of ['sig', 'att'] as const) {
    const source = attachedTag(from.reference, digest, kind)
    const target = attachedTag(to.reference, digest, kind)
    const wanted = await layersUnder(from.place, source)
    if (wanted.length === 0) continue
    const known = new Set((await layersUnder(to.place, target)).map(identityOf))
    const missing = wanted.filter((layer) => !known.has(identityOf(layer)))
    assertSmall(source, missing)
    for (const layer of missing)
      await to.place.putBlob(target, layer.mediaType, await from.place.read(source, layer))
    if (missing.length > 0) await attachAll(to.place, target, missing)
    added += missing.length
  }
  return added
}

/** They are held in memory, and anybody who may push can put anything there. */
function assertSmall(tag: ImageReference, layers: readonly Descriptor[]): void {
  const large = layers.find(({ size }) => size > mostEnvelopeBytes)
  if (large === undefined) return
  throw new UserError(
    'ERR_SIGNATURE_INVALID',
    `Cannot copy "${formatReference(tag)}": ${large.digest} has ${large.size} bytes, and no signature has`,
  )
}
