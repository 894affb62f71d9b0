import { sign, verify } from 'node:crypto'
import { digestBytes } from '@tsbuild/digest'
import { exactly, listOf, parseJson, text } from '@tsbuild/shape'
import { publicKeyObject } from './key.ts'
import { keysFor } from './policy.ts'
import type { Envelope, Scope, SigningKey, TrustedKey, TrustPolicy, Verified } from './types.ts'

/** Of one envelope: the server's signature and the client's, and room for those of a key that is replaced. */
export const maxSignatures = 8
const envelopeShape = exactly({
  payloadType: text,
  payload: text,
  signatures: listOf(exactly({ keyid: text, sig: text })),
})

/**
 * Reads an envelope from JSON. Nothing is verified but its form.
 *
 * @returns undefined for what is none: other members, base64 that could be written differently, no or more than eight signatures
 */
export function parseEnvelope(written: string): Envelope | undefined {
  return envelopeOf(parseJson(written))
}

/** As {@link parseEnvelope}, of a value that is parsed already. */
export function envelopeOf(value: unknown): Envelope | undefined {
  if (!envelopeShape(value)) return undefined
  const envelope = value as Envelope
  const { payload, signatures } = envelope
  const isWellFormed =
    isBase64(payload) &&
    signatures.length > 0 &&
    signatures.length <= maxSignatures &&
    signatures.every(({ keyid, sig }) => keyid.length <= 64 && sig.length === 88 && isBase64(sig))
  return isWellFormed ? envelope : undefined
}

/** Signs bytes. The same key, type and bytes give the same envelope again. */
export function signEnvelope(key: SigningKey, payloadType: string, payload: Uint8Array): Envelope {
  return {
    payloadType,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [signatureOf(key, payloadType, payload)],
  }
}

/** Adds a signature to those of an envelope, or replaces that of the same key. The others are kept as they are, right or wrong. */
export function addSignature(key: SigningKey, envelope: Envelope): Envelope {
  const payload = Buffer.from(envelope.payload, 'base64')
  const others = envelope.signatures.filter(({ keyid }) => keyid !== key.id)
  return { ...envelope, signatures: [...others, signatureOf(key, envelope.payloadType, payload)] }
}

/**
 * Verifies that one of these keys signed an envelope of this type.
 *
 * A signature that does not fit does not spoil those that do. What the payload says is not looked at.
 *
 * @returns undefined if none of the keys did, or the type is another
 */
export function verifyEnvelope(
  envelope: Envelope,
  keys: readonly TrustedKey[],
  payloadType: string,
): Verified | undefined {
  if (envelope.payloadType !== payloadType) return undefined
  const payload = Buffer.from(envelope.payload, 'base64')
  const signed = preAuthentication(payloadType, payload)
  for (const { keyid, sig } of envelope.signatures.slice(0, maxSignatures)) {
    for (const key of keys) {
      if (key.id !== keyid) continue
      if (verify(null, signed, publicKeyObject(key), Buffer.from(sig, 'base64')))
        return { keyid, payload, digest: digestBytes(payload) }
    }
  }
  return undefined
}

/**
 * As {@link verifyEnvelope}, by a key that may speak for this scope. That the payload is about this scope is the caller's to see.
 */
export function verifyForScope(
  envelope: Envelope,
  policy: TrustPolicy,
  scope: Scope,
  payloadType: string,
): Verified | undefined {
  return verifyEnvelope(envelope, keysFor(policy, scope), payloadType)
}

function signatureOf(key: SigningKey, type: string, payload: Uint8Array): Envelope['signatures'][number] {
  const sig = sign(null, preAuthentication(type, payload), key.privateKey).toString('base64')
  return { keyid: key.id, sig }
}

/** What DSSE signs: type and payload with their lengths, so that neither is taken for the other. */
function preAuthentication(type: string, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload])
}

/** In the one form that the bytes have: two envelopes that say the same are the same. */
function isBase64(written: string): boolean {
  return Buffer.from(written, 'base64').toString('base64') === written
}
