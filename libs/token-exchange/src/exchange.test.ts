import { createHmac, createPublicKey } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createTransport } from '@tsbuild/http'
import { createHttpServer, type HttpServer } from '@tsbuild/http-server'
import { decide, nobody, signingKeyOf, verifyToken } from '@tsbuild/trust'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  createFetchJson,
  createKeySets,
  type ExchangeEntry,
  exchangeRoutes,
  readExchangeConfig,
  type TrustedIssuer,
} from './index.ts'
import {
  forgeToken,
  type IssuerKey,
  idToken,
  issuerKey,
  signerOf,
  startIssuer,
  type TestIssuer,
} from './testing/issuer.ts'

const key = signingKeyOf(Buffer.alloc(32, 1))
const start = 1_795_000_000_000
const rsa = issuerKey('rsa-1')
const ec = issuerKey('ec-1', 'ES256')
const ed = issuerKey('ed-1', 'EdDSA')
const stranger = issuerKey('rsa-1')
let time = start
let issuer: TestIssuer
let evil: TestIssuer
const transport = createTransport({})

beforeAll(async () => {
  issuer = await startIssuer([rsa, ec, ed])
  evil = await startIssuer([stranger])
})
afterAll(async () => {
  await Promise.all([issuer.close(), evil.close(), transport.close()])
})
beforeEach(() => {
  time = start
  issuer.keys = [rsa, ec, ed].map(({ jwk }) => jwk)
  issuer.instead.clear()
  issuer.asked.length = 0
  evil.asked.length = 0
})

/** Claims of a job of pull request 7. */
const claims = (changes: object = {}): object => {
  const seconds = Math.floor(time / 1000)
  return {
    iss: issuer.url,
    aud: 'https://cache',
    sub: 'repo:acme/app:pull_request',
    jti: 'id-token-1',
    iat: seconds,
    nbf: seconds,
    exp: seconds + 300,
    repository: 'acme/app',
    repository_owner_id: '42',
    run_id: '17',
    event_name: 'pull_request',
    ref: 'refs/pull/7/merge',
    ref_type: 'branch',
    base_ref: 'main',
    head_ref: 'patch-1',
    ...changes,
  }
}

interface Running {
  readonly server: HttpServer
  readonly log: ExchangeEntry[]
  post(body: string): Promise<{
    readonly status: number
    readonly body: Readonly<Record<string, unknown>>
    readonly text: string
  }>
  exchange(token: string): ReturnType<Running['post']>
}

async function open(changes: object = {}): Promise<Running> {
  const config = [
    {
      preset: 'github',
      issuer: issuer.url,
      audience: 'https://cache',
      repositories: ['acme/*'],
      ...changes,
    },
  ]
  const log: ExchangeEntry[] = []
  let made = 0
  const routes = exchangeRoutes({
    issuers: readExchangeConfig(config, 'test'),
    findKey: createKeySets({ fetchJson: createFetchJson(transport, 2000), now: () => time }),
    key,
    issuer: 'cache',
    audience: 'tsbuild',
    now: () => time,
    newId: () => `new-${++made}`,
    onExchange: (entry) => log.push(entry),
  })
  const server = createHttpServer({
    routes,
    authenticate: () => nobody,
    decide: (grant, needs, target) => decide(grant ?? nobody, needs, target),
    now: Date.now,
  })
  const { port } = (await server.listen({ host: '127.0.0.1', port: 0 })) as AddressInfo
  const post: Running['post'] = async (body) => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/auth/exchange`, { method: 'POST', body })
    const text = await response.text()
    return { status: response.status, text, body: JSON.parse(text) as Readonly<Record<string, unknown>> }
  }
  return { server, log, post, exchange: (token) => post(JSON.stringify({ token })) }
}

/** Runs with a server, and closes it. */
async function withServer(run: (running: Running) => Promise<void>, changes: object = {}): Promise<void> {
  const running = await open(changes)
  try {
    await run(running)
  } finally {
    await running.server.close(1000)
  }
}

describe('POST /v1/auth/exchange', () => {
  it.each([rsa, ec, ed])('gives a job of a pull request its scopes for a token by $alg', (signing) =>
    withServer(async ({ exchange, log }) => {
      const { status, body } = await exchange(idToken(signing, claims()))
      expect({ status, ...body, token: '' }).toEqual({
        status: 200,
        token: '',
        expiresAt: start / 1000 + 3600,
        subject: 'gh:acme/app/run/17',
        operations: ['pull', 'push'],
        read: ['gh:acme/app:pr/7', 'gh:acme/app:ref/main'],
        write: 'gh:acme/app:pr/7',
      })
      const { grant } = await verifyToken(String(body.token), [key], {
        issuer: 'cache',
        audience: 'tsbuild',
        now: time,
      })
      expect(grant).toMatchObject({
        id: 'new-1',
        account: 'gh:acme/app/run/17',
        write: 'gh:acme/app:pr/7',
        repositories: { pull: [], push: [] },
        expiresAt: start / 1000 + 3600,
      })
      expect(log).toEqual([
        { outcome: 'exchanged', id: 'new-1', subject: 'gh:acme/app/run/17', write: 'gh:acme/app:pr/7' },
      ])
    }),
  )

  const publicPem = (): string =>
    createPublicKey(rsa.privateKey).export({ format: 'pem', type: 'spki' }).toString()
  const header = { alg: 'RS256', kid: 'rsa-1', typ: 'JWT' }
  const hmac =
    (secret: string) =>
    (input: Buffer): Buffer =>
      createHmac('sha256', secret).update(input).digest()
  it.each<[string, () => string]>([
    ['another issuer', () => idToken(rsa, claims({ iss: 'https://evil.example' }))],
    ['another issuer that has keys', () => idToken(stranger, claims({ iss: evil.url }))],
    ['an issuer with a slash', () => idToken(rsa, claims({ iss: `${issuer.url}/` }))],
    ['no issuer', () => idToken(rsa, claims({ iss: undefined }))],
    ['a list of issuers', () => idToken(rsa, claims({ iss: [issuer.url] }))],
    ['another audience', () => idToken(rsa, claims({ aud: 'https://other' }))],
    ['audiences without it', () => idToken(rsa, claims({ aud: ['https://other', 'https://cache/x'] }))],
    ['no audience', () => idToken(rsa, claims({ aud: undefined }))],
    ['an end in the past', () => idToken(rsa, claims({ exp: Math.floor(time / 1000) - 6 }))],
    ['no end', () => idToken(rsa, claims({ exp: undefined }))],
    ['a beginning in the future', () => idToken(rsa, claims({ nbf: Math.floor(time / 1000) + 6 }))],
    ['no time', () => idToken(rsa, claims({ iat: undefined }))],
    ['alg none', () => forgeToken({ ...header, alg: 'none' }, claims(), () => Buffer.alloc(0))],
    ['alg NONE, signed', () => forgeToken({ ...header, alg: 'NONE' }, claims(), signerOf(rsa))],
    [
      'HS256 with the public key as its secret',
      () => forgeToken({ ...header, alg: 'HS256' }, claims(), hmac(publicPem())),
    ],
    [
      'HS256 with the modulus',
      () => forgeToken({ ...header, alg: 'HS256' }, claims(), hmac(String(rsa.jwk.n))),
    ],
    ['RS512', () => forgeToken({ ...header, alg: 'RS512' }, claims(), signerOf(rsa))],
    ['PS256', () => forgeToken({ ...header, alg: 'PS256' }, claims(), signerOf(rsa))],
    ['an algorithm of another key', () => forgeToken({ ...header, alg: 'ES256' }, claims(), signerOf(ec))],
    ['a key for another algorithm', () => forgeToken({ alg: 'RS256', kid: 'ec-1' }, claims(), signerOf(rsa))],
    ['another key of the same id', () => idToken(stranger, claims())],
    ['an unknown key', () => idToken(rsa, claims(), { kid: 'rsa-2' })],
    ['no key', () => idToken(rsa, claims(), { kid: undefined })],
    ['a key that is a number', () => idToken(rsa, claims(), { kid: 1 })],
    ['a key in its header', () => idToken(stranger, claims(), { jwk: stranger.jwk })],
    ['keys elsewhere', () => idToken(stranger, claims(), { jku: `${evil.url}/keys` })],
    ['certificates elsewhere', () => idToken(stranger, claims(), { x5u: `${evil.url}/keys`, x5c: ['AAAA'] })],
    ['an unknown critical header', () => idToken(rsa, claims(), { crit: ['exp2'], exp2: 1 })],
    ['a repository of others', () => idToken(rsa, claims({ repository: 'evil/app' }))],
    [
      'a repository that is called so below others',
      () => idToken(rsa, claims({ repository: 'evil/acme/app' })),
    ],
    ['a repository in other letters', () => idToken(rsa, claims({ repository: 'ACME/app' }))],
    ['no repository', () => idToken(rsa, claims({ repository: undefined }))],
    ['a list of repositories', () => idToken(rsa, claims({ repository: ['acme/app'] }))],
    ['no JWT', () => 'a.b.c'],
    ['nothing', () => ''],
    ['an encrypted one', () => `${idToken(rsa, claims())}.a.b`],
    ['more than any', () => idToken(rsa, claims({ actor: 'x'.repeat(20_000) }))],
  ])('refuses a token with %s, and does not say why', (_, make) =>
    withServer(async ({ exchange, log }) => {
      const { status, text } = await exchange(make())
      expect([401, 413]).toContain(status)
      if (status === 401) {
        expect(JSON.parse(text)).toEqual({
          errors: [{ code: 'UNAUTHORIZED', message: 'this token is exchanged for none' }],
        })
        expect(log).toEqual([{ outcome: 'refused', reason: expect.stringMatching(/\w/) }])
      }
      expect(evil.asked).toEqual([])
    }),
  )

  it.each(['', '{}', '[]', '{"token":1}', '{"token":"a","token2":"b"}', 'token=a', '{"token":'])(
    'answers 400 to %j',
    (body) =>
      withServer(async ({ post }) => {
        expect((await post(body)).status).toBe(400)
      }),
  )

  it('exchanges a token as often as it is shown, for jobs with several builds; or once where that is wanted', async () => {
    const token = idToken(rsa, claims())
    await withServer(async ({ exchange }) => {
      expect([(await exchange(token)).status, (await exchange(token)).status]).toEqual([200, 200])
    })
    await withServer(
      async ({ exchange, log }) => {
        expect([(await exchange(token)).status, (await exchange(token)).status]).toEqual([200, 401])
        expect(log.at(-1)).toEqual({ outcome: 'refused', reason: 'it was exchanged before' })
        expect((await exchange(idToken(rsa, claims({ jti: undefined })))).status).toBe(401)
        expect((await exchange(idToken(rsa, claims({ jti: 'id-token-2' })))).status).toBe(200)
      },
      { once: true },
    )
  })

  it('holds jobs to the owners whose ids were given', () =>
    withServer(
      async ({ exchange }) => {
        expect((await exchange(idToken(rsa, claims()))).status).toBe(200)
        expect((await exchange(idToken(rsa, claims({ repository_owner_id: '43' })))).status).toBe(401)
      },
      { owners: ['42'] },
    ))
})

describe('keys of an issuer', () => {
  const next = issuerKey('rsa-2')

  it('are fetched once for many tokens', () =>
    withServer(async ({ exchange }) => {
      const replies = await Promise.all(Array.from({ length: 8 }, () => exchange(idToken(rsa, claims()))))
      expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200))
      expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys'])
    }))

  it('are fetched again for a key that is new, and not for every key that nobody has', () =>
    withServer(async ({ exchange }) => {
      expect((await exchange(idToken(rsa, claims()))).status).toBe(200)
      issuer.keys = [rsa.jwk, next.jwk]
      time += 31_000
      expect((await exchange(idToken(next, claims()))).status).toBe(200)
      const asked = issuer.asked.length
      for (let count = 0; count < 20; count++)
        expect((await exchange(idToken(rsa, claims(), { kid: `nobody-${count}` }))).status).toBe(401)
      expect(issuer.asked.length).toBe(asked)
    }))

  it('count no longer than ten minutes when they were withdrawn, or the issuer is down', () =>
    withServer(async ({ exchange, log }) => {
      expect((await exchange(idToken(rsa, claims()))).status).toBe(200)
      issuer.keys = [next.jwk]
      time += 599_000
      expect((await exchange(idToken(rsa, claims()))).status).toBe(200)
      time += 2000
      expect((await exchange(idToken(rsa, claims()))).status).toBe(401)
      issuer.instead.set('/keys', (_, response) => response.writeHead(500).end())
      expect((await exchange(idToken(next, claims()))).status).toBe(200)
      time += 601_000
      expect((await exchange(idToken(next, claims()))).status).toBe(503)
      expect(log.at(-1)).toMatchObject({
        outcome: 'refused',
        reason: expect.stringContaining('its status is 500'),
      })
      expect((await exchange(idToken(next, claims()))).status).toBe(503)
    }))

  const answers: Readonly<Record<string, readonly [string, Parameters<TestIssuer['instead']['set']>[1]]>> = {
    'no JSON': ['/keys', (_, response) => void response.end('<html>')],
    'no set': ['/keys', (_, response) => void response.end('{"keys":{}}')],
    'a list with something else': ['/keys', (_, response) => void response.end('{"keys":[1]}')],
    'more than 256 KiB': [
      '/keys',
      (_, response) => void response.end(JSON.stringify({ keys: [rsa.jwk], pad: 'x'.repeat(300_000) })),
    ],
    'a stream without an end': [
      '/keys',
      (_, response) => {
        response.on('error', () => {})
        const timer = setInterval(() => response.write('x'.repeat(65_536)), 1)
        response.on('close', () => clearInterval(timer))
      },
    ],
    '65 keys': [
      '/keys',
      (_, response) =>
        void response.end(
          JSON.stringify({ keys: Array.from({ length: 65 }, (_each, i) => ({ ...rsa.jwk, kid: `${i}` })) }),
        ),
    ],
    'a way elsewhere': [
      '/keys',
      (_, response) => void response.writeHead(302, { location: `${evil.url}/keys` }).end(),
    ],
    nothing: ['/keys', (request) => void request.socket.destroy()],
    silence: ['/keys', () => {}],
    'discovery of another issuer': [
      '/.well-known/openid-configuration',
      (_, response) => void response.end(JSON.stringify({ issuer: evil.url, jwks_uri: `${evil.url}/keys` })),
    ],
    'discovery without keys': [
      '/.well-known/openid-configuration',
      (_, response) => void response.end(JSON.stringify({ issuer: issuer.url })),
    ],
    'keys in plain http': [
      '/.well-known/openid-configuration',
      (_, response) =>
        void response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: 'http://keys.example/' })),
    ],
    'keys in a file': [
      '/.well-known/openid-configuration',
      (_, response) =>
        void response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: 'file:///etc/passwd' })),
    ],
  }
  it.each(Object.keys(answers))('are not to be had where the issuer answers with %s: 503', (name) =>
    withServer(async ({ exchange }) => {
      const [path, answer] = answers[name] ?? ['', () => {}]
      issuer.instead.set(path, answer)
      expect((await exchange(idToken(rsa, claims()))).status).toBe(503)
      expect(evil.asked).toEqual([])
    }),
  )

  it.each<[string, (jwk: IssuerKey['jwk']) => readonly object[]]>([
    ['a key for encryption', (jwk) => [{ ...jwk, use: 'enc' }]],
    ['two keys of one id', (jwk) => [jwk, { ...stranger.jwk }]],
    ['a private key', (jwk) => [{ ...jwk, d: 'AQAB' }]],
    ['a symmetric key', () => [{ kty: 'oct', k: Buffer.alloc(32).toString('base64url'), kid: 'rsa-1' }]],
    ['a key without an id', (jwk) => [{ ...jwk, kid: undefined }]],
    ['a key for RS512', (jwk) => [{ ...jwk, alg: 'RS512' }]],
    ['a key of no numbers', (jwk) => [{ ...jwk, n: '!' }]],
    ['a key of 512 bits', (jwk) => [{ ...jwk, n: Buffer.alloc(64, 0xff).toString('base64url') }]],
  ])('do not count: %s', (_, keys) =>
    withServer(async ({ exchange }) => {
      issuer.keys = keys(rsa.jwk) as typeof issuer.keys
      expect((await exchange(idToken(rsa, claims()))).status).toBe(401)
    }),
  )

  it('are taken from where the configuration says', () =>
    withServer(
      async ({ exchange }) => {
        expect((await exchange(idToken(rsa, claims()))).status).toBe(200)
        expect(issuer.asked).toEqual(['/keys'])
      },
      { keys: `${issuer.url}/keys` },
    ))
})

it('two issuers do not speak for each other', async () => {
  const one = (url: string, name: string): object => ({
    issuer: url,
    audience: 'https://cache',
    rules: [
      {
        match: { repository: '{repository...}' },
        read: [`${name}:ref/main`],
        write: `${name}:ref/main`,
        operations: ['pull', 'push'],
      },
    ],
  })
  const issuers: readonly TrustedIssuer[] = readExchangeConfig(
    [one(issuer.url, 'ours'), one(evil.url, 'theirs')],
    'test',
  )
  const routes = exchangeRoutes({
    issuers,
    findKey: createKeySets({ fetchJson: createFetchJson(transport), now: () => time }),
    key,
    issuer: 'cache',
    audience: 'tsbuild',
    now: () => time,
    newId: () => 'id',
  })
  const server = createHttpServer({
    routes,
    authenticate: () => nobody,
    decide: () => 'allowed',
    now: Date.now,
  })
  const { port } = (await server.listen({ host: '127.0.0.1', port: 0 })) as AddressInfo
  const write = async (token: string): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/auth/exchange`, {
      method: 'POST',
      body: JSON.stringify({ token }),
    })
    return ((await response.json()) as { readonly write?: unknown }).write
  }
  // Both have a key of the same id.
  expect(await write(idToken(rsa, claims()))).toBe('ours:ref/main')
  expect(await write(idToken(stranger, claims({ iss: evil.url })))).toBe('theirs:ref/main')
  expect(await write(idToken(stranger, claims()))).toBeUndefined()
  expect(await write(idToken(rsa, claims({ iss: evil.url })))).toBeUndefined()
  await server.close(1000)
})
