import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isBuildError } from '@tsbuild/errors'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readKeyAgent } from './key-agent.ts'
import { parsePrivateKey } from './private-key.ts'
import { wireBytes, wireInteger, wireNumber, wireReader } from './wire.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-ssh-keys-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const parse = (text: string | Buffer) => parsePrivateKey('/keys/id', Buffer.from(text as string))
const refusal = (why: string) =>
  expect.objectContaining({
    code: 'ERR_SSH',
    kind: 'user',
    message: expect.stringContaining(`Cannot use the ssh key "/keys/id": ${why}`),
  })

// Keys of RSA may take seconds to find on a machine that has other work, hence the times below.
const hasKeygen = ['/usr/bin/ssh-keygen', '/usr/local/bin/ssh-keygen'].some((path) => existsSync(path))

describe.skipIf(!hasKeygen)('keys of ssh-keygen', { timeout: 60_000 }, () => {
  const keygen = (name: string, ...args: readonly string[]) => {
    const path = join(folder, name)
    execFileSync('ssh-keygen', ['-q', '-C', 'me@host', '-f', path, ...args])
    return { key: readFileSync(path), public: readFileSync(`${path}.pub`, 'utf8').split(' ')[1] ?? '' }
  }

  it.each([
    ['ed25519', ['-t', 'ed25519']],
    ['ecdsa-256', ['-t', 'ecdsa', '-b', '256']],
    ['ecdsa-384', ['-t', 'ecdsa', '-b', '384']],
    ['ecdsa-521', ['-t', 'ecdsa', '-b', '521']],
    ['rsa', ['-t', 'rsa', '-b', '2048']],
    ['rsa of an odd length', ['-t', 'rsa', '-b', '2049']],
    ['PEM of rsa', ['-t', 'rsa', '-b', '2048', '-m', 'PEM']],
    ['PKCS #8 of rsa', ['-t', 'rsa', '-b', '2048', '-m', 'PKCS8']],
    ['PEM of ecdsa', ['-t', 'ecdsa', '-m', 'PEM']],
    ['PKCS #8 of ecdsa', ['-t', 'ecdsa', '-m', 'PKCS8']],
  ])('parsePrivateKey() reads %s, with the same public key', (name, args) => {
    const made = keygen(name.replaceAll(/\W/g, ''), '-N', '', ...args)
    expect(parse(made.key).blob.toString('base64')).toBe(made.public)
  })

  it.each([
    ['OpenSSH', ['-t', 'ed25519']],
    ['PEM', ['-t', 'rsa', '-b', '2048', '-m', 'PEM']],
    ['PKCS #8', ['-t', 'ecdsa', '-m', 'PKCS8']],
  ])('parsePrivateKey() refuses a passphrase of %s, with a hint', (name, args) => {
    const { key } = keygen(`locked${name.replaceAll(/\W/g, '')}`, '-N', 'secret', ...args)
    expect(() => parse(key)).toThrow(refusal('it has a passphrase'))
    expect(() => parse(key)).toThrow(
      expect.objectContaining({ hints: [expect.stringContaining('--ssh default')] }),
    )
  })

  it('parsePrivateKey() refuses a public key, with a hint', () => {
    keygen('public', '-N', '', '-t', 'ed25519')
    expect(() => parse(readFileSync(join(folder, 'public.pub')))).toThrow(refusal('it is a public key'))
  })

  it('parsePrivateKey() refuses a key of which any byte is changed, or reads the same key', () => {
    const text = keygen('damaged', '-N', '', '-t', 'ecdsa').key.toString()
    const body = Buffer.from(text.replaceAll(/-----.*-----/g, ''), 'base64')
    const { blob } = parse(text)
    for (let at = 0; at < body.length; at++) {
      const damaged = Buffer.from(body)
      damaged[at] = (damaged[at] ?? 0) ^ 0x41
      try {
        expect(parse(openssh(damaged)).blob).toEqual(blob)
      } catch (error) {
        if (!isBuildError(error)) throw error
        expect(error.code).toBe('ERR_SSH')
      }
    }
  })
})

describe('signatures', { timeout: 60_000 }, () => {
  const data = Buffer.from('to be signed')
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = (key: ReturnType<typeof generateKeyPairSync>) =>
    key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

  it('of Ed25519 are verified by its public key', async () => {
    const pair = generateKeyPairSync('ed25519')
    const signature = wireReader((await parse(pem(pair)).sign(data, 0)) ?? Buffer.alloc(0))
    expect(signature.text()).toBe('ssh-ed25519')
    expect(verify(null, data, pair.publicKey, signature.bytes())).toBe(true)
    signature.end()
  })

  it.each([
    ['P-256', 'nistp256', 'sha256', 32],
    ['P-384', 'nistp384', 'sha384', 48],
    ['P-521', 'nistp521', 'sha512', 66],
  ])('over %s are two integers', async (namedCurve, name, digest, size) => {
    const pair = generateKeyPairSync('ec', { namedCurve })
    const key = parse(pem(pair))
    // A number whose first bit is set comes soon.
    for (let attempt = 0; attempt < 8; attempt++) {
      const signature = wireReader((await key.sign(data, 0)) ?? Buffer.alloc(0))
      expect(signature.text()).toBe(`ecdsa-sha2-${name}`)
      const both = wireReader(signature.bytes())
      const [r, s] = [both.bytes(), both.bytes()]
      for (const integer of [r, s]) {
        expect((integer[0] ?? 0) < 0x80).toBe(true)
        expect(integer[0] !== 0 || (integer[1] ?? 0) >= 0x80).toBe(true)
      }
      const fixed = (integer: Buffer) => Buffer.concat([Buffer.alloc(size), integer]).subarray(-size)
      const raw = { key: pair.publicKey, dsaEncoding: 'ieee-p1363' } as const
      expect(verify(digest, data, raw, Buffer.concat([fixed(r), fixed(s)]))).toBe(true)
    }
  })

  it.each([
    [0, 'ssh-rsa', 'sha1'],
    [2, 'rsa-sha2-256', 'sha256'],
    [4, 'rsa-sha2-512', 'sha512'],
    [6, 'rsa-sha2-256', 'sha256'],
  ])('of RSA follow the flags %i: %s', async (flags, name, digest) => {
    const signature = wireReader((await parse(pem(rsa)).sign(data, flags)) ?? Buffer.alloc(0))
    expect(signature.text()).toBe(name)
    expect(verify(digest, data, rsa.publicKey, signature.bytes())).toBe(true)
  })

  it('are not made by a key that is too small for the digest', async () => {
    const small = parse(pem(generateKeyPairSync('rsa', { modulusLength: 512 })))
    expect(await small.sign(data, 2)).toBeDefined()
    expect(await small.sign(data, 4)).toBeUndefined()
  })

  it('are not made for flags that the key cannot follow', async () => {
    const large = parse(pem(rsa))
    const ed25519 = parse(pem(generateKeyPairSync('ed25519')))
    expect([await large.sign(data, 1), await large.sign(data, 8), await ed25519.sign(data, 2)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})

describe('parsePrivateKey()', () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const jwk = privateKey.export({ format: 'jwk' })
  const d = Buffer.from(jwk.d ?? '', 'base64url')
  const x = Buffer.from(jwk.x ?? '', 'base64url')
  const ed25519 = [wireBytes('ssh-ed25519'), wireBytes(x), wireBytes(d, x), wireBytes('comment')]
  const rsa = [...'nedqpq'].map((_, index) => wireInteger(Buffer.of(index + 1)))

  it('reads what this test writes', () => {
    const blob = parse(opensshOf(ed25519)).blob
    expect(blob).toEqual(Buffer.concat([wireBytes('ssh-ed25519'), wireBytes(x)]))
    expect(createPublicKey(privateKey).export({ format: 'jwk' }).x).toBe(jwk.x)
  })

  it('reads a file with other line ends and words around the key', () => {
    const text = opensshOf(ed25519)
    expect(parse(`# mine\r\n${text.replaceAll('\n', '\r\n')}`).blob).toEqual(parse(text).blob)
  })

  it.each([
    ['nothing', '', 'it holds no private key'],
    ['words', 'hello\n', 'it holds no private key'],
    [
      'a certificate',
      '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n',
      'it holds no private key',
    ],
    ['a key of PuTTY', 'PuTTY-User-Key-File-3: ssh-ed25519\n', 'it is a key of PuTTY'],
    [
      'PEM of nothing',
      '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n',
      'its PEM cannot be read',
    ],
    ['no end', '-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n', 'it does not begin with "openssh-key-v1"'],
    ['another magic', openssh(Buffer.from('openssh-key-v2\0')), 'it does not begin with "openssh-key-v1"'],
    ['a curve of Bitcoin', pemOfCurve('secp256k1'), 'it is of the kind "secp256k1"'],
    ['a key for encryption', pemOf('x25519'), 'it is of the kind "x25519"'],
    ['another numbering', opensshOf(ed25519, { again: 2 }), 'its check numbers differ'],
    ['two keys', opensshOf(ed25519, { count: 2 }), 'it holds 2 keys, not one'],
    ['another padding', opensshOf(ed25519, { padding: Buffer.of(1, 2, 4) }), 'its padding is wrong'],
    [
      'a key of a device',
      opensshOf([wireBytes('sk-ssh-ed25519@openssh.com')]),
      'it is of the kind "sk-ssh-ed25519@openssh.com"',
    ],
    [
      'a short seed',
      opensshOf([wireBytes('ssh-ed25519'), wireBytes(x), wireBytes(d)]),
      'a value has 32 bytes, not 64',
    ],
    [
      'a point at nowhere',
      opensshOf([
        wireBytes('ecdsa-sha2-nistp256'),
        wireBytes('nistp256'),
        wireBytes(Buffer.alloc(65, 4)),
        wireInteger(Buffer.of(7)),
        wireBytes(''),
      ]),
      'its numbers are no key',
    ],
    [
      'a compressed point',
      opensshOf([
        wireBytes('ecdsa-sha2-nistp256'),
        wireBytes('nistp256'),
        wireBytes(Buffer.alloc(65, 2)),
        wireInteger(Buffer.of(7)),
        wireBytes(''),
      ]),
      'its point is compressed',
    ],
    ['an RSA key of small numbers', opensshOf([wireBytes('ssh-rsa'), ...rsa, wireBytes('')]), 'it'],
    [
      'no factors',
      opensshOf([wireBytes('ssh-rsa'), ...Array(6).fill(wireBytes('')), wireBytes('')]),
      'its factors are no primes',
    ],
  ])('refuses %s', (_what, text, why) => {
    expect(() => parse(text)).toThrow(refusal(why))
  })

  it('refuses an ECDSA key whose public and private parts are of two keys', () => {
    const [one, other] = [0, 1].map(() =>
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
    )
    const part = (text: string | undefined) => Buffer.from(text ?? '', 'base64url')
    const text = opensshOf([
      wireBytes('ecdsa-sha2-nistp256'),
      wireBytes('nistp256'),
      wireBytes(Buffer.of(4), part(one?.x), part(one?.y)),
      wireInteger(part(other?.d)),
      wireBytes(''),
    ])
    expect(() => parse(text)).toThrow(refusal('its parts contradict each other'))
  })

  it('refuses what is cut off anywhere', () => {
    const body = bodyOf(ed25519)
    for (let length = 0; length < body.length; length++)
      expect(() => parse(openssh(body.subarray(0, length)))).toThrow(refusal('it'))
  })
})

describe('readKeyAgent()', () => {
  it.each([
    ['that is not there', () => join(folder, 'absent'), 'ENOENT'],
    ['that is a directory', () => folder, 'it is no file'],
    ['that never ends', () => '/dev/zero', 'it is no file'],
    [
      'that is too large',
      () => {
        writeFileSync(join(folder, 'large'), Buffer.alloc(64 * 1024 + 1))
        return join(folder, 'large')
      },
      'it has more than 65536 bytes',
    ],
  ])('refuses a file %s', async (_what, path, why) => {
    await expect(readKeyAgent([path()])).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_SSH', message: expect.stringContaining(why) }),
    )
  })
})

function pemOf(type: 'x25519'): string {
  return generateKeyPairSync(type).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function pemOfCurve(namedCurve: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve })
  return privateKey.export({ type: 'sec1', format: 'pem' }).toString()
}

interface Oddities {
  readonly count?: number
  readonly again?: number
  readonly padding?: Buffer
}

function bodyOf(secret: readonly Buffer[], { count = 1, again = 1, padding }: Oddities = {}): Buffer {
  const body = Buffer.concat([wireNumber(1), wireNumber(again), ...secret])
  const needed = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (body.length % 8)) % 8))
  return Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...[wireBytes('none'), wireBytes('none'), wireBytes(''), wireNumber(count), wireBytes('public')],
    wireBytes(body, padding ?? needed),
  ])
}

function openssh(body: Buffer): string {
  const lines = body.toString('base64').replaceAll(/.{70}/g, '$&\n')
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`
}

function opensshOf(secret: readonly Buffer[], oddities: Oddities = {}): string {
  return openssh(bodyOf(secret, oddities))
}
