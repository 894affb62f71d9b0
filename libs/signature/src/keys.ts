import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { UserError } from '@tsbuild/errors'
import { openWithPassword, sealWithPassword } from './secretbox.ts'
import type { SigningKey, VerifyingKey } from './types.ts'

/** Gives the password of a key; called only where the key has one. */
export type AskPassword = () => Promise<string>

const cosignLabel = 'ENCRYPTED SIGSTORE PRIVATE KEY'
const olderCosignLabel = 'ENCRYPTED COSIGN PRIVATE KEY'
const leastRsaBits = 2048
const curves: readonly unknown[] = ['prime256v1', 'secp384r1', 'secp521r1']

/** The two texts of a new pair, as cosign writes them. */
export interface KeyPairFiles {
  readonly privateKey: string
  readonly publicKey: string
}

/** Makes a key pair (ECDSA, P-256), the private key encrypted with the password. */
export async function generateSigningKeyPair(password: string): Promise<KeyPairFiles> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const sealed = await sealWithPassword(privateKey.export({ type: 'pkcs8', format: 'der' }), password)
  const lines = sealed.toString('base64').match(/.{1,64}/g) ?? []
  return {
    privateKey: `-----BEGIN ${cosignLabel}-----\n${lines.join('\n')}\n-----END ${cosignLabel}-----\n`,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

/**
 * Reads a private key: cosign's own form, PKCS#8, SEC 1 or PKCS#1 in PEM, encrypted or not.
 *
 * @param name of the file, for messages
 * @throws {UserError} `ERR_SIGNATURE_KEY` if it is none, the password does not fit, or its kind is not for signatures
 */
export async function readSigningKey(pem: string, name: string, password: AskPassword): Promise<SigningKey> {
  const block = pemBlocks(pem).find(({ label }) => label.endsWith('PRIVATE KEY'))
  if (block === undefined) throw unusable(name, 'it is no private key in PEM')
  if (block.label === cosignLabel || block.label === olderCosignLabel) {
    const opened = await openWithPassword(Buffer.from(block.body, 'base64'), await password())
    if (opened === 'malformed') throw unusable(name, 'what is in it is not encrypted as cosign does')
    if (opened === 'wrong') throw wrongPassword(name)
    return {
      key: usable(
        name,
        parse(name, () => createPrivateKey({ key: opened, format: 'der', type: 'pkcs8' })),
      ),
    }
  }
  const encrypted = block.label === 'ENCRYPTED PRIVATE KEY' || block.text.includes('Proc-Type: 4,ENCRYPTED')
  if (!encrypted)
    return {
      key: usable(
        name,
        parse(name, () => createPrivateKey(block.text)),
      ),
    }
  const passphrase = await password()
  try {
    return { key: usable(name, createPrivateKey({ key: block.text, passphrase })) }
  } catch (cause) {
    throw wrongPassword(name, cause)
  }
}

/**
 * Reads a public key in PEM (SPKI or PKCS#1).
 *
 * @param name of the file, for messages
 * @throws {UserError} `ERR_SIGNATURE_KEY`
 */
export function readVerifyingKey(pem: string, name: string): VerifyingKey {
  const blocks = pemBlocks(pem)
  const block = blocks.find(({ label }) => label === 'PUBLIC KEY' || label === 'RSA PUBLIC KEY')
  if (block !== undefined)
    return {
      key: usable(
        name,
        parse(name, () => createPublicKey(block.text)),
      ),
    }
  const isPrivate = blocks.some(({ label }) => label.endsWith('PRIVATE KEY'))
  throw unusable(
    name,
    isPrivate ? 'it is a private key, and a public one is wanted' : 'it is no public key in PEM',
  )
}

/** The public half of a signing key. */
export function publicHalf({ key }: SigningKey): VerifyingKey {
  return { key: createPublicKey(key) }
}

/** Signs bytes as cosign does: ECDSA in DER form and RSA PKCS#1 v1.5 over SHA-256, or Ed25519 over the bytes themselves. */
export function signBytes({ key }: SigningKey, bytes: Uint8Array): Buffer {
  return sign(hashFor(key), bytes, key)
}

/** Whether a signature is that of the key for these bytes. */
export function isSignatureOf({ key }: VerifyingKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(hashFor(key), bytes, key, signature)
  } catch {
    // A signature of a form that the key cannot have made.
    return false
  }
}

function hashFor(key: KeyObject): string | null {
  return key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
}

function usable(name: string, key: KeyObject): KeyObject {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return key
    case 'ec':
      if (curves.includes(namedCurve)) return key
      throw unusable(name, `its curve is ${namedCurve}, expected P-256, P-384 or P-521`)
    case 'rsa':
      if (modulusLength >= leastRsaBits) return key
      throw unusable(name, `it has ${modulusLength} bits, expected at least ${leastRsaBits}`)
    default:
      throw unusable(name, `it is of kind "${key.asymmetricKeyType}", expected ECDSA, Ed25519 or RSA`)
  }
}

function parse(name: string, read: () => KeyObject): KeyObject {
  try {
    return read()
  } catch (cause) {
    throw unusable(name, 'it cannot be parsed', cause)
  }
}

interface PemBlock {
  readonly label: string
  readonly body: string
  readonly text: string
}

function pemBlocks(pem: string): readonly PemBlock[] {
  const form = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([\s\S]*?)-----END \1-----/g
  return [...pem.matchAll(form)].map(([text, label = '', body = '']) => ({ label, body, text }))
}

function wrongPassword(name: string, cause?: unknown): UserError {
  return new UserError('ERR_SIGNATURE_KEY', `Cannot read key "${name}": the password does not fit`, {
    cause,
    hints: ['COSIGN_PASSWORD holds it where nobody can be asked; it may be empty.'],
  })
}

function unusable(name: string, state: string, cause?: unknown): UserError {
  return new UserError('ERR_SIGNATURE_KEY', `Cannot use key "${name}": ${state}`, { cause })
}
