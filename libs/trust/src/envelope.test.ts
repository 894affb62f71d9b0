import { describe, expect, it } from 'vitest'
import {
  addSignature,
  type Envelope,
  envelopeOf,
  formatPublicKey,
  formatSigningKey,
  keyIdOf,
  keysFor,
  parseEnvelope,
  parseKeysFile,
  parsePublicKey,
  parseScope,
  parseSigningKey,
  signEnvelope,
  signingKeyOf,
  verifyEnvelope,
  verifyForScope,
} from './index.ts'

const key = signingKeyOf(Buffer.alloc(32, 1))
const other = signingKeyOf(Buffer.alloc(32, 2))
const type = 'application/vnd.tsbuild.step.v1+json'
const payload = Buffer.from('{"v":1}')
const signed = signEnvelope(key, type, payload)

describe('keys', () => {
  it('are named by their digests, which is pinned', () => {
    // The public key of RFC 8032 7.1, test 1.
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
    const { id, publicKey } = signingKeyOf(seed)
    expect(Buffer.from(publicKey).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    )
    expect(id).toBe('ed25519:21fe31dfa154a261')
    expect(keyIdOf(publicKey)).toBe(id)
  })

  it('are read as they were written', () => {
    expect(parseSigningKey(formatSigningKey(key), 'key.pem').id).toBe(key.id)
    expect(parsePublicKey(formatPublicKey(key))?.publicKey).toEqual(key.publicKey)
  })

  it.each([
    '',
    'x',
    'AAAA',
    `${formatPublicKey(key)}=`,
    ` ${formatPublicKey(key)}`,
    formatPublicKey(key).replace('=', ''),
    'A'.repeat(88),
  ])('parsePublicKey() takes %j for none', (text) => expect(parsePublicKey(text)).toBeUndefined())

  it('parseSigningKey() refuses what is no ed25519 key, and does not show it', () => {
    const secret = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n'
    expect(() => parseSigningKey(secret, '/etc/key.pem')).toThrowError(
      expect.objectContaining({
        code: 'ERR_CACHE_KEY',
        message: 'Cannot read key "/etc/key.pem": expected an ed25519 private key as PEM',
      }),
    )
  })
})

describe('verifyEnvelope()', () => {
  it('gives the payload of what one of the keys signed', () => {
    expect(verifyEnvelope(signed, [other, key], type)).toMatchObject({ keyid: key.id, payload })
    expect(signEnvelope(key, type, payload)).toEqual(signed)
  })

  it('signs what DSSE signs', () => {
    // Made with Python's cryptography over "DSSEv1 36 application/vnd.tsbuild.step.v1+json 7 {"v":1}", and the seed 01…01.
    expect(signed.signatures[0]?.sig).toBe(
      'kJt34ruVoxDhPQ7QlLaBmjW10suqHl3noOOxtVZEa+koehlsnjCSQhbhjWR3q5qSRp/VSzuceVfWHhsKObeiAw==',
    )
  })

  it.each<[string, Envelope]>([
    ['another payload', { ...signed, payload: Buffer.from('{"v":2}').toString('base64') }],
    ['another type', { ...signed, payloadType: 'application/vnd.tsbuild.step.v2+json' }],
    ['what another signed', signEnvelope(other, type, payload)],
    [
      'what another signed in the name of the key',
      {
        ...signed,
        signatures: [{ keyid: key.id, sig: signEnvelope(other, type, payload).signatures[0]?.sig ?? '' }],
      },
    ],
    ['no signature', { ...signed, signatures: [] }],
    [
      'a signature in the name of another',
      { ...signed, signatures: [{ keyid: other.id, sig: signed.signatures[0]?.sig ?? '' }] },
    ],
    [
      'type and payload cut elsewhere',
      { ...signed, payloadType: `${type} 7`, payload: Buffer.from('').toString('base64') },
    ],
    ['zeroes', { ...signed, signatures: [{ keyid: key.id, sig: Buffer.alloc(64).toString('base64') }] }],
  ])('refuses %s', (_, envelope) => {
    expect(verifyEnvelope(envelope, [key], type)).toBeUndefined()
  })

  it('refuses every envelope of which one bit is another', () => {
    const sig = Buffer.from(signed.signatures[0]?.sig ?? '', 'base64')
    for (let bit = 0; bit < sig.length * 8; bit++) {
      const changed = Buffer.from(sig)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(
        verifyEnvelope(
          { ...signed, signatures: [{ keyid: key.id, sig: changed.toString('base64') }] },
          [key],
          type,
        ),
      ).toBeUndefined()
    }
  })

  it('addSignature() keeps those of others and replaces its own', () => {
    const both = addSignature(other, signed)
    expect(verifyEnvelope(both, [key], type)?.keyid).toBe(key.id)
    expect(verifyEnvelope(both, [other], type)?.keyid).toBe(other.id)
    expect(addSignature(other, both).signatures).toHaveLength(2)
  })
})

describe('parseEnvelope()', () => {
  it('reads what was written', () => {
    expect(parseEnvelope(JSON.stringify(signed))).toEqual(signed)
  })

  const [signature] = signed.signatures
  it.each<[string, unknown]>([
    ['null', null],
    ['a list', []],
    ['another member', { ...signed, x: 1 }],
    ['no payload', { payloadType: type, signatures: signed.signatures }],
    ['no signatures', { ...signed, signatures: [] }],
    ['nine of them', { ...signed, signatures: Array.from({ length: 9 }, () => signature) }],
    ['base64 with spaces', { ...signed, payload: ` ${signed.payload}` }],
    ['base64 of the other alphabet', { ...signed, payload: 'e30_' }],
    ['base64 with bits that say nothing', { ...signed, payload: 'eyJ2IjoxfR==' }],
    ['a short signature', { ...signed, signatures: [{ keyid: key.id, sig: 'AAAA' }] }],
    ['a long name of a key', { ...signed, signatures: [{ ...signature, keyid: 'x'.repeat(65) }] }],
    ['a signature with a certificate', { ...signed, signatures: [{ ...signature, cert: '' }] }],
  ])('takes %s for none', (_, value) => {
    expect(envelopeOf(value)).toBeUndefined()
  })
})

describe('parseKeysFile()', () => {
  const text = `# who may say what\n\nacme/app:ref/main ${formatPublicKey(key)}\nacme/*:pr/*\t${formatPublicKey(other)}\r\n  acme/app:ref/main   ${formatPublicKey(other)}  \n`

  it('gives each scope the keys of the first pattern that fits', () => {
    const policy = parseKeysFile(text, 'keys')
    const of = (scope: string): readonly string[] => keysFor(policy, parseScope(scope)).map(({ id }) => id)
    expect(of('acme/app:ref/main')).toEqual([key.id, other.id])
    expect(of('acme/app:pr/7')).toEqual([other.id])
    expect(of('acme/app:ref/dev')).toEqual([])
    expect(
      keysFor(
        parseKeysFile(`a:ref/x ${formatPublicKey(key)}\n** ${formatPublicKey(other)}`, 'k'),
        parseScope('a:ref/x'),
      ),
    ).toHaveLength(1)
  })

  it('verifyForScope() lets a key speak only for what the policy gives it', () => {
    const policy = parseKeysFile(
      `acme/app:ref/main ${formatPublicKey(key)}\nacme/app:pr/* ${formatPublicKey(other)}`,
      'keys',
    )
    const byOther = signEnvelope(other, type, payload)
    expect(verifyForScope(byOther, policy, parseScope('acme/app:pr/7'), type)?.keyid).toBe(other.id)
    expect(verifyForScope(byOther, policy, parseScope('acme/app:ref/main'), type)).toBeUndefined()
    expect(verifyForScope(signed, policy, parseScope('acme/app:pr/7'), type)).toBeUndefined()
    expect(verifyForScope(signed, policy, parseScope('evil/app:ref/main'), type)).toBeUndefined()
  })

  it.each([
    ['', 'it trusts no key'],
    ['# only a remark', 'it trusts no key'],
    ['\nacme/app:ref/main', 'line 2: expected a pattern of scopes and a key'],
    [`acme/app:ref/main ${formatPublicKey(key)} more`, 'line 1: expected a pattern of scopes and a key'],
    ['acme/app:ref/main AAAA', 'line 1: expected a key of 32 bytes in base64'],
    [
      `${formatPublicKey(key)} acme/app:ref/main`,
      'line 1: expected a pattern of scopes (PROJECT:ref/*, or ** for all) before the key',
    ],
    [`* ${formatPublicKey(key)}`, 'line 1: expected a pattern of scopes'],
  ])('refuses %j', (written, why) => {
    expect(() => parseKeysFile(written, 'trusted-keys')).toThrowError(
      expect.objectContaining({
        code: 'ERR_CACHE_KEYS_FILE',
        message: expect.stringContaining(`Cannot read keys "trusted-keys": ${why}`),
      }),
    )
  })
})
