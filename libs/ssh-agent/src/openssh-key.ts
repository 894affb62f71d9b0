import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { MalformedMessage, type WireReader, wireReader, withoutZeros } from './wire.ts'

/** What a file in OpenSSH's own form holds. */
export type OpensshKey =
  | { readonly kind: 'key'; readonly key: KeyObject }
  | { readonly kind: 'encrypted' }
  /** Of a kind that cannot sign here: `sk-ssh-ed25519@openssh.com` needs its device. */
  | { readonly kind: 'unsupported'; readonly type: string }

const magic = Buffer.from('openssh-key-v1\0')

/**
 * Reads the body of `-----BEGIN OPENSSH PRIVATE KEY-----`.
 *
 * @throws {MalformedMessage} if it is no such key
 * @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key
 */
export function parseOpensshKey(body: Buffer): OpensshKey {
  if (!body.subarray(0, magic.length).equals(magic))
    throw new MalformedMessage(`it does not begin with "openssh-key-v1"`)
  const outer = wireReader(body.subarray(magic.length))
  const cipher = outer.text()
  outer.text() // The name of the key derivation and
  outer.bytes() // its options; both are empty without a passphrase.
  const count = outer.number()
  if (count !== 1) throw new MalformedMessage(`it holds ${count} keys, not one`)
  outer.bytes() // The public key, which follows from the private one.
  if (cipher !== 'none') return { kind: 'encrypted' }
  const secret = wireReader(outer.bytes())
  outer.end()
  const [check, again] = [secret.number(), secret.number()]
  if (check !== again) throw new MalformedMessage('its check numbers differ')
  const type = secret.text()
  const jwk = privateParts(type, secret)
  if (jwk === undefined) return { kind: 'unsupported', type }
  secret.text() // A comment.
  if (!secret.rest().every((byte, index) => byte === index + 1))
    throw new MalformedMessage('its padding is wrong')
  return { kind: 'key', key: keyOf(jwk) }
}

function keyOf(jwk: JsonWebKey): KeyObject {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch (cause) {
    throw new MalformedMessage('its numbers are no key', { cause })
  }
}

function privateParts(type: string, secret: WireReader): JsonWebKey | undefined {
  switch (type) {
    case 'ssh-ed25519': {
      const x = secret.bytes()
      // The seed, and the public key once more.
      const d = exactly(64, secret.bytes()).subarray(0, 32)
      return { kty: 'OKP', crv: 'Ed25519', x: encoded(exactly(32, x)), d: encoded(d) }
    }
    case 'ecdsa-sha2-nistp256':
      return ecdsaParts('P-256', 32, secret)
    case 'ecdsa-sha2-nistp384':
      return ecdsaParts('P-384', 48, secret)
    case 'ecdsa-sha2-nistp521':
      return ecdsaParts('P-521', 66, secret)
    case 'ssh-rsa':
      return rsaParts(secret)
    default:
      return undefined
  }
}

function ecdsaParts(crv: string, size: number, secret: WireReader): JsonWebKey {
  secret.text() // The curve, which the type names too.
  const point = exactly(1 + 2 * size, secret.bytes())
  if (point[0] !== 4) throw new MalformedMessage('its point is compressed')
  const number = withoutZeros(secret.bytes())
  if (number.length > size) throw new MalformedMessage('its number is too large')
  const d = Buffer.concat([Buffer.alloc(size - number.length), number])
  const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)]
  return { kty: 'EC', crv, x: encoded(x), y: encoded(y), d: encoded(d) }
}

function rsaParts(secret: WireReader): JsonWebKey {
  const [n, e, d, qi] = [secret.bytes(), secret.bytes(), secret.bytes(), secret.bytes()]
  const [p, q] = [secret.bytes(), secret.bytes()]
  const modulo = (factor: Buffer) => {
    const below = numberOf(factor) - 1n
    if (below <= 0n) throw new MalformedMessage('its factors are no primes')
    const text = (numberOf(d) % below).toString(16)
    return Buffer.from(text.padStart(text.length + (text.length % 2), '0'), 'hex')
  }
  const parts = { n, e, d, p, q, dp: modulo(p), dq: modulo(q), qi }
  return {
    kty: 'RSA',
    ...Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, encoded(withoutZeros(part))])),
  }
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x0${bytes.toString('hex')}`)
}

function exactly(length: number, bytes: Buffer): Buffer {
  if (bytes.length !== length) throw new MalformedMessage(`a value has ${bytes.length} bytes, not ${length}`)
  return bytes
}

function encoded(bytes: Buffer): string {
  return bytes.toString('base64url')
}
