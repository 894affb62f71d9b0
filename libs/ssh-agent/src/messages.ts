import { MalformedMessage, wireBytes, wireNumber, wireReader } from './wire.ts'

/**
 * Numbers of the agent protocol.
 * @see https://datatracker.ietf.org/doc/draft-ietf-sshm-ssh-agent/
 */
const numbers = {
  requestIdentities1: 1,
  identities1: 2,
  failure: 5,
  requestIdentities: 11,
  identities: 12,
  signRequest: 13,
  signature: 14,
} as const

/** The flag for RSA over SHA-256. */
export const rsaSha256 = 2

/** The flag for RSA over SHA-512. */
export const rsaSha512 = 4

/** A public key that an agent offers. */
export interface Identity {
  /** The public key as ssh writes it. */
  readonly key: Buffer
  readonly comment: string
}

/** What is to be signed by which key. */
export interface SignRequest {
  readonly key: Buffer
  readonly data: Buffer
  readonly flags: number
}

/** What a client may ask for. Whatever else it sends, and what is malformed, is `refused`. */
export type Request =
  | { readonly kind: 'identities' }
  /** Of the first version of ssh: there are none. */
  | { readonly kind: 'identities1' }
  | { readonly kind: 'sign'; readonly request: SignRequest }
  | { readonly kind: 'refused' }

/** Reads a request. Never throws. */
export function parseRequest(message: Buffer): Request {
  try {
    return readRequest(message)
  } catch (error) {
    if (error instanceof MalformedMessage) return { kind: 'refused' }
    throw error
  }
}

function readRequest(message: Buffer): Request {
  const reader = wireReader(message)
  switch (reader.byte()) {
    case numbers.requestIdentities:
      reader.end()
      return { kind: 'identities' }
    case numbers.requestIdentities1:
      reader.end()
      return { kind: 'identities1' }
    case numbers.signRequest: {
      const request = { key: reader.bytes(), data: reader.bytes(), flags: reader.number() }
      reader.end()
      return { kind: 'sign', request }
    }
    default:
      return { kind: 'refused' }
  }
}

/** The request for the list of keys. */
export function identitiesRequest(): Buffer {
  return Buffer.of(numbers.requestIdentities)
}

/** The request for a signature. */
export function signRequest({ key, data, flags }: SignRequest): Buffer {
  return Buffer.concat([Buffer.of(numbers.signRequest), wireBytes(key), wireBytes(data), wireNumber(flags)])
}

/** The answer that says no. */
export function failureAnswer(): Buffer {
  return Buffer.of(numbers.failure)
}

/** The answer to a client of the first version of ssh: no keys. */
export function noIdentities1Answer(): Buffer {
  return Buffer.concat([Buffer.of(numbers.identities1), wireNumber(0)])
}

/** The answer with the list of keys. */
export function identitiesAnswer(identities: readonly Identity[]): Buffer {
  return Buffer.concat([
    Buffer.of(numbers.identities),
    wireNumber(identities.length),
    ...identities.flatMap(({ key, comment }) => [wireBytes(key), wireBytes(comment)]),
  ])
}

/** The answer with a signature. */
export function signatureAnswer(signature: Buffer): Buffer {
  return Buffer.concat([Buffer.of(numbers.signature), wireBytes(signature)])
}

/**
 * Reads an agent's list of keys; undefined if it says no.
 * @throws {MalformedMessage}
 */
export function parseIdentities(message: Buffer): readonly Identity[] | undefined {
  const reader = wireReader(message)
  const kind = reader.byte()
  if (kind === numbers.failure) return undefined
  if (kind !== numbers.identities) throw new MalformedMessage(`answer ${kind} is no list of keys`)
  const identities: Identity[] = []
  for (let count = reader.number(); count > 0; count--)
    identities.push({ key: reader.bytes(), comment: reader.text() })
  reader.end()
  return identities
}

/**
 * Reads an agent's signature; undefined if it says no.
 * @throws {MalformedMessage}
 */
export function parseSignature(message: Buffer): Buffer | undefined {
  const reader = wireReader(message)
  const kind = reader.byte()
  if (kind === numbers.failure) return undefined
  if (kind !== numbers.signature) throw new MalformedMessage(`answer ${kind} is no signature`)
  const signature = reader.bytes()
  reader.end()
  return signature
}
