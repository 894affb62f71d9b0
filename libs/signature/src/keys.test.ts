import { generateKeyPairSync } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  generateSigningKeyPair,
  isSignatureOf,
  type KeyPairFiles,
  publicHalf,
  readSigningKey,
  readVerifyingKey,
  signBytes,
} from './keys.ts'

const unasked = async () => {
  throw new Error('nobody is to be asked')
}
const words = Buffer.from('some words')
const passphrase = 'a word'
const encrypted = { cipher: 'aes-256-cbc', passphrase } as const

let pair: KeyPairFiles
beforeAll(async () => {
  pair = await generateSigningKeyPair('pw')
})

describe('generateSigningKeyPair()', () => {
  it('makes a pair that fits, in the form of cosign', async () => {
    expect(pair.privateKey).toMatch(
      /^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n$/,
    )
    const key = await readSigningKey(pair.privateKey, 'k', async () => 'pw')
    const publicKey = readVerifyingKey(pair.publicKey, 'p')
    expect(isSignatureOf(publicKey, words, signBytes(key, words))).toBe(true)
    expect(isSignatureOf(publicKey, Buffer.from('others'), signBytes(key, words))).toBe(false)
    expect(isSignatureOf(publicKey, words, Buffer.from('no signature'))).toBe(false)
  })

  it('makes another one each time, also with an empty password', async () => {
    const other = await generateSigningKeyPair('')
    expect(other.publicKey).not.toBe(pair.publicKey)
    await expect(readSigningKey(other.privateKey, 'k', async () => '')).resolves.toBeDefined()
  })
})

describe('readSigningKey()', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  const ed = generateKeyPairSync('ed25519').privateKey
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  it.each([
    ['EC in PKCS#8', ec.export({ type: 'pkcs8', format: 'pem' })],
    [
      'EC in SEC 1 after its parameters',
      `-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n${ec.export({ type: 'sec1', format: 'pem' })}`,
    ],
    ['Ed25519', ed.export({ type: 'pkcs8', format: 'pem' })],
    ['RSA in PKCS#1', rsa.export({ type: 'pkcs1', format: 'pem' })],
    ['Windows line ends', ec.export({ type: 'pkcs8', format: 'pem' }).toString().replaceAll('\n', '\r\n')],
  ])('reads %s', async (_form, pem) => {
    const key = await readSigningKey(pem.toString(), 'k', unasked)
    expect(isSignatureOf(publicHalf(key), words, signBytes(key, words))).toBe(true)
  })

  it.each([
    ['PKCS#8', ec.export({ type: 'pkcs8', format: 'pem', ...encrypted })],
    ['the old form of OpenSSL', rsa.export({ type: 'pkcs1', format: 'pem', ...encrypted })],
  ])('asks for the password of encrypted %s', async (_form, pem) => {
    await expect(readSigningKey(pem.toString(), 'k', async () => passphrase)).resolves.toBeDefined()
    await expect(readSigningKey(pem.toString(), 'k', async () => 'another')).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_KEY',
      message: 'Cannot read key "k": the password does not fit',
    })
  })

  it('says that a password does not fit', async () => {
    await expect(readSigningKey(pair.privateKey, 'k', async () => 'another')).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_KEY',
      message: 'Cannot read key "k": the password does not fit',
    })
  })

  const sealed = (change: (box: Record<string, unknown>) => void) => {
    const body = pair.privateKey.split('\n').slice(1, -2).join('')
    const box = JSON.parse(Buffer.from(body, 'base64').toString())
    change(box)
    const text = Buffer.from(JSON.stringify(box)).toString('base64')
    return `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n${text}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n`
  }
  it.each<[string, (box: Record<string, unknown>) => void]>([
    ['costs without end', (box) => Object.assign(box.kdf as object, { params: { N: 2 ** 30, r: 8, p: 1 } })],
    [
      'costs that are no power of two',
      (box) => Object.assign(box.kdf as object, { params: { N: 65_535, r: 8, p: 1 } }),
    ],
    ['another function', (box) => Object.assign(box.kdf as object, { name: 'pbkdf2' })],
    ['a short nonce', (box) => Object.assign(box.cipher as object, { nonce: 'AAAA' })],
    ['a member too many', (box) => Object.assign(box, { more: 1 })],
  ])('refuses a sealed key with %s', async (_what, change) => {
    await expect(readSigningKey(sealed(change), 'k', async () => 'pw')).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_KEY',
      message: 'Cannot use key "k": what is in it is not encrypted as cosign does',
    })
  })

  it.each([
    ['nothing', ''],
    ['a public key', () => pair.publicKey],
    ['broken PEM', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'],
    [
      'a small RSA key',
      generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ],
    [
      'a curve that nobody else verifies',
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey.export({
        type: 'pkcs8',
        format: 'pem',
      }),
    ],
    [
      'a key that does not sign',
      generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ],
  ])('refuses %s', async (_what, pem) => {
    const text = typeof pem === 'function' ? pem() : pem.toString()
    await expect(readSigningKey(text, 'k', unasked)).rejects.toMatchObject({ code: 'ERR_SIGNATURE_KEY' })
  })
})

describe('readVerifyingKey()', () => {
  it('refuses a private key, which nobody wants to give to who verifies', () => {
    expect(() => readVerifyingKey(pair.privateKey, 'k')).toThrow(
      expect.objectContaining({
        code: 'ERR_SIGNATURE_KEY',
        message: 'Cannot use key "k": it is a private key, and a public one is wanted',
      }),
    )
  })
})
