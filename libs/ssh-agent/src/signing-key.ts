import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { rsaSha256, rsaSha512 } from './messages.ts'
import { wireBytes, wireInteger } from './wire.ts'

/** A private key that signs as ssh wants it. */
export interface SigningKey {
  /** The public key as ssh writes it. */
  readonly blob: Buffer
  /** Resolves to the signature as ssh writes it; undefined where the key cannot. */
  sign(data: Buffer, flags: number): Promise<Buffer | undefined>
}

/** Curves by their name in certificates: name in ssh, digest. */
const curves: Readonly<Record<string, readonly [name: string, digest: string]>> = {
  prime256v1: ['nistp256', 'sha256'],
  secp384r1: ['nistp384', 'sha384'],
  secp521r1: ['nistp521', 'sha512'],
}

/** Gives a key its way of signing; undefined for kinds of keys that ssh does not know. */
export function signingKey(key: KeyObject): SigningKey | undefined {
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return ed25519Key(key)
    case 'ec':
      return ecdsaKey(key)
    case 'rsa':
      return rsaKey(key)
    default:
      return undefined
  }
}

/** @see https://www.rfc-editor.org/rfc/rfc8709 */
function ed25519Key(key: KeyObject): SigningKey {
  const { x } = publicParts(key)
  const type = wireBytes('ssh-ed25519')
  return {
    blob: Buffer.concat([type, wireBytes(x)]),
    async sign(data, flags) {
      const bytes = flags === 0 ? await signature(null, data, key) : undefined
      return bytes === undefined ? undefined : Buffer.concat([type, wireBytes(bytes)])
    },
  }
}

/** @see https://www.rfc-editor.org/rfc/rfc5656#section-3.1 */
function ecdsaKey(key: KeyObject): SigningKey | undefined {
  const [curve, digest] = curves[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? []
  if (curve === undefined || digest === undefined) return undefined
  const { x, y } = publicParts(key)
  const type = wireBytes(`ecdsa-sha2-${curve}`)
  return {
    blob: Buffer.concat([type, wireBytes(curve), wireBytes(Buffer.of(4), x, y)]),
    async sign(data, flags) {
      const both = flags === 0 ? await signature(digest, data, key) : undefined
      if (both === undefined) return undefined
      const [r, s] = [both.subarray(0, both.length / 2), both.subarray(both.length / 2)]
      return Buffer.concat([type, wireBytes(wireInteger(r), wireInteger(s))])
    },
  }
}

/** @see https://www.rfc-editor.org/rfc/rfc8332 */
function rsaKey(key: KeyObject): SigningKey {
  const { e, n } = publicParts(key)
  return {
    blob: Buffer.concat([wireBytes('ssh-rsa'), wireInteger(e), wireInteger(n)]),
    async sign(data, flags) {
      const [type, digest] = rsaAlgorithm(flags)
      const bytes = type === undefined ? undefined : await signature(digest, data, key)
      return type === undefined || bytes === undefined
        ? undefined
        : Buffer.concat([wireBytes(type), wireBytes(bytes)])
    },
  }
}

/** As in OpenSSH, SHA-256 wins where both are wanted. Without flags it is what the first servers knew. */
function rsaAlgorithm(flags: number): readonly [type: string, digest: string] | readonly [undefined, null] {
  if ((flags & ~(rsaSha256 | rsaSha512)) !== 0) return [undefined, null]
  if ((flags & rsaSha256) !== 0) return ['rsa-sha2-256', 'sha256']
  return flags === rsaSha512 ? ['rsa-sha2-512', 'sha512'] : ['ssh-rsa', 'sha1']
}

function publicParts(key: KeyObject): Readonly<Record<'x' | 'y' | 'e' | 'n', Buffer>> {
  const jwk = createPublicKey(key).export({ format: 'jwk' })
  const part = (text: string | undefined) => Buffer.from(text ?? '', 'base64url')
  return { x: part(jwk.x), y: part(jwk.y), e: part(jwk.e), n: part(jwk.n) }
}

/** Undefined where the key cannot: an RSA key may be too small for SHA-512. */
function signature(digest: string | null, data: Buffer, key: KeyObject): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    sign(digest, data, { key, dsaEncoding: 'ieee-p1363' }, (error, bytes) =>
      resolve(error === null ? bytes : undefined),
    )
  })
}
