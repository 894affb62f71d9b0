import { listOf, objectOf, parseJson, text } from '@tsbuild/shape'
import { isSignatureOf, signBytes } from './keys.ts'
import { decodeBase64 } from './signature-annotation.ts'
import type { SigningKey, VerifyingKey } from './types.ts'

const inTotoType = 'application/vnd.in-toto+json'
const statementTypes: readonly unknown[] = [
  'https://in-toto.io/Statement/v0.1',
  'https://in-toto.io/Statement/v1',
]

/** An in-toto statement: something said about images. */
export interface Statement {
  readonly predicateType: string
  /** The sha256 digests, in hex, of what it is about. */
  readonly subjects: readonly string[]
  readonly predicate: unknown
}

interface Envelope {
  readonly payloadType: string
  readonly payload: string
  readonly signatures: readonly { readonly sig: string }[]
}

const envelopeShape = objectOf({
  payloadType: text,
  payload: text,
  signatures: listOf(objectOf({ sig: text })),
})
const statementShape = objectOf({
  _type: text,
  predicateType: text,
  subject: listOf(objectOf({ digest: objectOf({}) })),
})

/** Makes a signed statement about one image. The same key kind Ed25519 or RSA gives the same bytes again. */
export function sealStatement(
  key: SigningKey,
  about: { readonly name: string; readonly hex: string },
  { predicateType, predicate }: Omit<Statement, 'subjects'>,
): Buffer {
  const statement = {
    _type: statementTypes[0],
    predicateType,
    subject: [{ name: about.name, digest: { sha256: about.hex } }],
    predicate,
  }
  const payload = Buffer.from(JSON.stringify(statement))
  const sig = signBytes(key, preAuthentication(inTotoType, payload)).toString('base64')
  const envelope = {
    payloadType: inTotoType,
    payload: payload.toString('base64'),
    signatures: [{ keyid: '', sig }],
  }
  return Buffer.from(JSON.stringify(envelope))
}

/**
 * Reads a signed statement.
 *
 * @returns `key` if none of its signatures was made with the key for it, `malformed` for what is no such thing
 */
export function openStatement(key: VerifyingKey, bytes: Uint8Array): Statement | 'key' | 'malformed' {
  const envelope = parseJson(Buffer.from(bytes).toString())
  if (!envelopeShape(envelope)) return 'malformed'
  const { payloadType, payload, signatures } = envelope as Envelope
  const signed = decodeBase64(payload)
  if (signed === undefined || payloadType !== inTotoType) return 'malformed'
  const toVerify = preAuthentication(payloadType, signed)
  const fits = signatures.some(({ sig }) => {
    const signature = decodeBase64(sig)
    return signature !== undefined && isSignatureOf(key, toVerify, signature)
  })
  if (!fits) return 'key'
  const statement = parseJson(signed.toString())
  if (!statementShape(statement)) return 'malformed'
  const { _type, predicateType, subject, predicate } = statement as {
    readonly _type: string
    readonly predicateType: string
    readonly subject: readonly { readonly digest: Readonly<Record<string, unknown>> }[]
    readonly predicate?: unknown
  }
  if (!statementTypes.includes(_type)) return 'malformed'
  const subjects = subject.flatMap(({ digest: { sha256 } }) => (typeof sha256 === 'string' ? [sha256] : []))
  return { predicateType, subjects, predicate }
}

/** What DSSE signs: the type and the payload with their lengths, so that neither can be taken for the other. */
function preAuthentication(type: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `
  return Buffer.concat([Buffer.from(head), payload])
}
