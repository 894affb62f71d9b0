import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  createAuthenticator,
  loopbackGrant,
  mintToken,
  nobody,
  parseScope,
  readAuthorization,
  readUnverified,
  type SigningKey,
  signingKeyOf,
  type TokenClaims,
  verifyToken,
} from './index.ts'

const key = signingKeyOf(Buffer.alloc(32, 1))
const other = signingKeyOf(Buffer.alloc(32, 2))
const now = 1_795_000_000_000
const seconds = now / 1000
const rules = { issuer: 'https://cache', audience: 'tsbuild', now }
const claims: TokenClaims = {
  subject: 'token:ci',
  issuer: 'https://cache',
  audience: 'tsbuild',
  read: [parseScope('acme/app:pr/7'), parseScope('acme/app:ref/main')],
  write: parseScope('acme/app:pr/7'),
  operations: ['pull', 'push'],
  repositories: { pull: ['acme/**'], push: ['acme/app'] },
  maxBytes: 1000,
  ttl: 3600,
  id: 'id-1',
}

/** A JWT of any header and claims, signed by any means. */
function forge(header: object, payload: object, signer: (input: Buffer) => Buffer): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`
}

const header = { alg: 'EdDSA', kid: key.id, typ: 'tsbuild-cache+jwt' }
const payload = {
  v: 1,
  iss: 'https://cache',
  aud: 'tsbuild',
  sub: 'token:ci',
  iat: seconds,
  nbf: seconds,
  exp: seconds + 3600,
  jti: 'id-1',
  read: claims.read,
  write: claims.write,
  ops: ['pull', 'push'],
  pull: ['acme/**'],
  push: [],
}
const by =
  ({ privateKey }: SigningKey) =>
  (input: Buffer): Buffer =>
    sign(null, input, privateKey)
const publicPem = createPublicKey(key.privateKey).export({ format: 'pem', type: 'spki' }).toString()

describe('verifyToken()', () => {
  it('gives what mintToken() was told', async () => {
    const token = await mintToken(key, claims, now)
    expect(await verifyToken(token, [other, key], rules)).toEqual({
      grant: {
        authenticated: true,
        subject: 'token:ci',
        read: claims.read,
        write: claims.write,
        operations: ['pull', 'push'],
        repositories: claims.repositories,
        maxBytes: 1000,
        expiresAt: seconds + 3600,
        id: 'id-1',
      },
    })
    expect(await verifyToken(forge(header, payload, by(key)), [key], rules)).toHaveProperty(
      'grant.id',
      'id-1',
    )
  })

  it('makes the same token of the same claims', async () => {
    expect(await mintToken(key, claims, now)).toBe(await mintToken(key, claims, now))
  })

  const { publicKey: rsaPublic, privateKey: rsaPrivate } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  it.each<[string, string]>([
    ['nothing', ''],
    ['no JWT', 'a.b.c'],
    ['two parts', 'a.b'],
    ['alg none', forge({ ...header, alg: 'none' }, payload, () => Buffer.alloc(0))],
    ['alg None', forge({ ...header, alg: 'None' }, payload, () => Buffer.alloc(0))],
    ['no alg', forge({ kid: key.id, typ: header.typ }, payload, by(key))],
    [
      'HS256 with the public key as its secret',
      forge({ ...header, alg: 'HS256' }, payload, (input) =>
        createHmac('sha256', publicPem).update(input).digest(),
      ),
    ],
    [
      'HS256 with the raw public key',
      forge({ ...header, alg: 'HS256' }, payload, (input) =>
        createHmac('sha256', key.publicKey).update(input).digest(),
      ),
    ],
    [
      'RS256 with a key of its own',
      forge({ ...header, alg: 'RS256', jwk: rsaPublic.export({ format: 'jwk' }) }, payload, (input) =>
        sign('sha256', input, rsaPrivate),
      ),
    ],
    ['ES256', forge({ ...header, alg: 'ES256' }, payload, by(key))],
    [
      'a key in the header',
      forge(
        { ...header, kid: other.id, jwk: createPublicKey(other.privateKey).export({ format: 'jwk' }) },
        payload,
        by(other),
      ),
    ],
    [
      'a key elsewhere',
      forge(
        { ...header, kid: other.id, jku: 'http://127.0.0.1:1/keys', x5u: 'http://127.0.0.1:1/' },
        payload,
        by(other),
      ),
    ],
    ['another key', forge(header, payload, by(other))],
    ['an unknown key', forge({ ...header, kid: other.id }, payload, by(other))],
    ['no key', forge({ alg: 'EdDSA', typ: header.typ }, payload, by(key))],
    ['another type', forge({ ...header, typ: 'JWT' }, payload, by(key))],
    ['no type', forge({ alg: 'EdDSA', kid: key.id }, payload, by(key))],
    ['an unknown critical header', forge({ ...header, crit: ['x'], x: 1 }, payload, by(key))],
    ['unencoded payload', forge({ ...header, crit: ['b64'], b64: false }, payload, by(key))],
    ['a signature that lacks a byte', forge(header, payload, (input) => by(key)(input).subarray(1))],
    ['no signature', forge(header, payload, () => Buffer.alloc(0))],
    ['another issuer', forge(header, { ...payload, iss: 'https://cache.evil' }, by(key))],
    ['an issuer with a slash', forge(header, { ...payload, iss: 'https://cache/' }, by(key))],
    ['another audience', forge(header, { ...payload, aud: 'other' }, by(key))],
    ['no audience', forge(header, { ...payload, aud: undefined }, by(key))],
    ['audiences without it', forge(header, { ...payload, aud: ['a', 'b'] }, by(key))],
    ['expired', forge(header, { ...payload, exp: seconds - 6 }, by(key))],
    ['without an end', forge(header, { ...payload, exp: undefined }, by(key))],
    ['an end that is a text', forge(header, { ...payload, exp: String(seconds + 10) }, by(key))],
    ['an end beyond all numbers', forge(header, { ...payload, exp: Number.POSITIVE_INFINITY }, by(key))],
    ['not yet', forge(header, { ...payload, nbf: seconds + 6 }, by(key))],
    ['without a beginning', forge(header, { ...payload, nbf: undefined }, by(key))],
    ['without an id', forge(header, { ...payload, jti: undefined }, by(key))],
    ['an id that is a number', forge(header, { ...payload, jti: 7 }, by(key))],
    ['without a subject', forge(header, { ...payload, sub: undefined }, by(key))],
    ['of a later version', forge(header, { ...payload, v: 2 }, by(key))],
    ['of no version', forge(header, { ...payload, v: undefined }, by(key))],
    ['reads no scopes', forge(header, { ...payload, read: ['acme/app:pr/7/../../ref/main'] }, by(key))],
    ['reads a text', forge(header, { ...payload, read: 'acme/app:ref/main' }, by(key))],
    ['writes two', forge(header, { ...payload, write: ['acme/app:pr/7', 'acme/app:ref/main'] }, by(key))],
    ['writes by a pattern', forge(header, { ...payload, write: 'acme/app:ref/*' }, by(key))],
    ['an unknown operation', forge(header, { ...payload, ops: ['pull', 'root'] }, by(key))],
    ['no operations', forge(header, { ...payload, ops: undefined }, by(key))],
    ['negative sizes', forge(header, { ...payload, maxBytes: -1 }, by(key))],
    ['longer than any', forge(header, { ...payload, sub: 'x'.repeat(9000) }, by(key))],
  ])('refuses %s', async (_, token) => {
    const verdict = await verifyToken(token, [key], rules)
    expect(verdict.grant).toBeUndefined()
    expect(verdict.reason).toMatch(/\w/)
  })

  it('refuses every token of which one character is another', async () => {
    const token = await mintToken(key, claims, now)
    for (let at = 0; at < token.length; at++) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
      expect((await verifyToken(changed, [key], rules)).grant, `${at}`).toBeUndefined()
    }
  })

  it('bears clocks that are five seconds apart, and not six', async () => {
    const token = await mintToken(key, claims, now)
    const at = async (ms: number): Promise<boolean> =>
      (await verifyToken(token, [key], { ...rules, now: now + ms })).grant !== undefined
    expect(await Promise.all([at(-5000), at(-6000), at(3_604_000), at(3_606_000)])).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  it('refuses a token that was taken back', async () => {
    const token = await mintToken(key, claims, now)
    const isRevoked = (id: string): boolean => id === 'id-1'
    expect(await verifyToken(token, [key], { ...rules, isRevoked })).toEqual({
      reason: 'id-1 was revoked',
      told: 'the token was taken back',
    })
  })
})

describe('readAuthorization()', () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
  it.each<[string | undefined, ReturnType<typeof readAuthorization>]>([
    [undefined, { kind: 'none' }],
    ['', { kind: 'none' }],
    ['Bearer abc.d-e_f', { kind: 'token', token: 'abc.d-e_f' }],
    ['bearer   abc', { kind: 'token', token: 'abc' }],
    [basic('anybody:abc.def'), { kind: 'token', token: 'abc.def' }],
    [basic(':abc'), { kind: 'token', token: 'abc' }],
    [basic('a:b:c'), { kind: 'token', token: 'b:c' }],
    [basic('nobody'), { kind: 'malformed' }],
    [basic('a:'), { kind: 'malformed' }],
    [basic('a:b\nc'), { kind: 'malformed' }],
    ['Bearer', { kind: 'malformed' }],
    ['Bearer ', { kind: 'malformed' }],
    ['Bearer a b', { kind: 'malformed' }],
    ['Bearer a, Bearer b', { kind: 'malformed' }],
    ['Digest abc', { kind: 'malformed' }],
    ['abc', { kind: 'malformed' }],
    [' Bearer abc', { kind: 'malformed' }],
  ])('reads %j', (header, wanted) => {
    expect(readAuthorization(header)).toEqual(wanted)
  })
})

describe('createAuthenticator()', () => {
  const open = (changes: Partial<Parameters<typeof createAuthenticator>[0]> = {}) =>
    createAuthenticator({
      issuer: rules.issuer,
      audience: rules.audience,
      keys: () => keys,
      now: () => now,
      ...changes,
    })
  const keys = [key]

  it('takes a token from Bearer and from Basic, and nobody for nobody', async () => {
    const authenticate = open()
    const token = await mintToken(key, claims, now)
    expect((await authenticate(`Bearer ${token}`)).grant?.id).toBe('id-1')
    expect((await authenticate(`Basic ${Buffer.from(`_:${token}`).toString('base64')}`)).grant?.id).toBe(
      'id-1',
    )
    expect((await authenticate(undefined)).grant).toBe(nobody)
    expect((await open({ anonymous: loopbackGrant })(undefined)).grant).toBe(loopbackGrant)
  })

  it('does not remember what was verified while the keys were changed', async () => {
    let trusted = keys
    const authenticate = open({ keys: () => trusted })
    const header = `Bearer ${await mintToken(key, claims, now)}`
    const underWay = authenticate(header)
    trusted = [other]
    await authenticate('Bearer x')
    await underWay
    expect((await authenticate(header)).grant).toBeUndefined()
  })

  it('does not take a wrong token for nobody', async () => {
    const authenticate = open({ anonymous: loopbackGrant })
    for (const header of [
      'Bearer x',
      'Nonsense',
      `Bearer ${await mintToken(other, claims, now)}`,
      `Bearer ${'x'.repeat(9000)}`,
    ])
      expect((await authenticate(header)).grant).toBeUndefined()
  })

  it('remembers a token no longer than it is good', async () => {
    let [time, trusted, revoked] = [now, keys, false]
    const authenticate = open({ now: () => time, keys: () => trusted, isRevoked: () => revoked })
    const bearer = `Bearer ${await mintToken(key, claims, now)}`
    const isGood = async (): Promise<boolean> => (await authenticate(bearer)).grant !== undefined
    expect(await isGood()).toBe(true)
    revoked = true
    expect(await isGood()).toBe(false)
    revoked = false
    expect(await isGood()).toBe(true)
    trusted = [other]
    expect(await isGood()).toBe(false)
    trusted = keys
    expect(await isGood()).toBe(true)
    time += 3_606_000
    expect(await isGood()).toBe(false)
  })

  it('tells that a token ended only who has one that a key had signed', async () => {
    const authenticate = open({ now: () => now + 3_606_000 })
    const told = async (signer: SigningKey) =>
      (await authenticate(`Bearer ${await mintToken(signer, claims, now)}`)).told
    expect(await told(key)).toBe(`the token ended at ${new Date((seconds + 3600) * 1000).toISOString()}`)
    expect(await told(other)).toBeUndefined()
  })

  it('is bounded: thousands of tokens, and each still good', async () => {
    const authenticate = open()
    const first = `Bearer ${await mintToken(key, claims, now)}`
    await authenticate(first)
    for (let count = 0; count < 1100; count++)
      expect(
        (await authenticate(`Bearer ${await mintToken(key, { ...claims, id: `id-${count}` }, now)}`)).grant,
      ).toBeDefined()
    expect((await authenticate(first)).grant?.id).toBe('id-1')
  })
})

it('readUnverified() shows what a token says, and nothing of what is none', async () => {
  expect(readUnverified(await mintToken(key, claims, now))).toMatchObject({
    jti: 'id-1',
    write: 'acme/app:pr/7',
  })
  for (const text of ['', 'a.b.c', 'a.W10.c']) expect(readUnverified(text)).toBeUndefined()
})
