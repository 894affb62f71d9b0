import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { UserError } from '@tsbuild/errors'
import type { SigningKey, TrustedKey } from './types.ts'

/** How PKCS #8 begins for an ed25519 key, whose 32 bytes of seed follow. @see https://www.rfc-editor.org/rfc/rfc8410#section-7 */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex')
const objects = new WeakMap<TrustedKey, KeyObject>()

/** The name of a public key: see {@link TrustedKey}. */
export function keyIdOf(publicKey: Uint8Array): string {
  return `ed25519:${createHash('sha256').update(publicKey).digest('hex').slice(0, 16)}`
}

/** A public key of its 32 bytes; undefined for any other number of them. */
export function trustedKey(publicKey: Uint8Array): TrustedKey | undefined {
  return publicKey.length === 32 ? { id: keyIdOf(publicKey), publicKey } : undefined
}

/** Reads a public key as it is shown and written into files: base64 of its 32 bytes. Undefined for what is none. */
export function parsePublicKey(text: string): TrustedKey | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? trustedKey(bytes) : undefined
}

/** The reverse of {@link parsePublicKey}. */
export function formatPublicKey({ publicKey }: TrustedKey): string {
  return Buffer.from(publicKey).toString('base64')
}

/** Makes a key of 32 bytes that nobody can guess. */
export function signingKeyOf(seed: Uint8Array): SigningKey {
  if (seed.length !== 32) throw new RangeError('A seed has 32 bytes')
  return signingKey(createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: 'der', type: 'pkcs8' }))
}

/**
 * Reads a private key, as PEM of PKCS #8.
 *
 * @param name of the file, for errors
 * @throws {UserError} `ERR_CACHE_KEY` for what is no ed25519 key
 */
export function parseSigningKey(pem: string, name: string): SigningKey {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return signingKey(key)
  } catch {
    // The text of OpenSSL's error would not help, and the key must not be in it.
  }
  throw new UserError('ERR_CACHE_KEY', `Cannot read key "${name}": expected an ed25519 private key as PEM`)
}

/** The reverse of {@link parseSigningKey}. */
export function formatSigningKey({ privateKey }: SigningKey): string {
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
}

/** As Node.js' crypto takes it; made once for each. */
export function publicKeyObject(key: TrustedKey): KeyObject {
  const known = objects.get(key)
  if (known !== undefined) return known
  const x = Buffer.from(key.publicKey).toString('base64url')
  const made = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  objects.set(key, made)
  return made
}

function signingKey(privateKey: KeyObject): SigningKey {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const publicKey = Buffer.from(x, 'base64url')
  return { id: keyIdOf(publicKey), publicKey, privateKey }
}
