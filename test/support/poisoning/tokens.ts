import { createHmac, createPublicKey, sign } from 'node:crypto'
import { type SigningKey, signingKeyOf } from '@tsbuild/trust'
import {
  forgeToken,
  idToken,
  issuerKey,
  type TestIssuer,
} from '../../../libs/token-exchange/src/testing/issuer.ts'
import { tokenOf } from '../cache-instance.ts'
import {
  type Attempt,
  evilLayer,
  expectRefused,
  main,
  payloadOf,
  pr7,
  recordOf,
  recordPath,
  type World,
  wantedKey,
} from './world.ts'

const stranger = signingKeyOf(Buffer.alloc(32, 66))
const by =
  ({ privateKey }: SigningKey) =>
  (input: Buffer): Buffer =>
    sign(null, input, privateKey)
const none = (): Buffer => Buffer.alloc(0)

/** What a token that writes main would say. */
function claims(changes: object = {}): object {
  const now = Math.floor(Date.now() / 1000)
  return {
    v: 1,
    iss: 'tsbuild-cache-server',
    aud: 'tsbuild-cache',
    sub: 'token:main',
    iat: now,
    nbf: now,
    exp: now + 3600,
    jti: 'forged',
    read: [main],
    write: main,
    ops: ['pull', 'push'],
    pull: [],
    push: [],
    ...changes,
  }
}

const header = (world: World, changes: object = {}): object => ({
  alg: 'EdDSA',
  kid: world.server.key.id,
  typ: 'tsbuild-cache+jwt',
  ...changes,
})
const now = (): number => Math.floor(Date.now() / 1000)

/** Puts together the parts of two tokens. */
function mixed(one: string, other: string): string {
  const [head = '', , signature = ''] = one.split('.')
  return `${head}.${other.split('.')[1]}.${signature}`
}

const tokens: readonly (readonly [string, (world: World) => string | Promise<string>])[] = [
  ['signed by another server', () => tokenOf(stranger, { read: ['ref/main'], write: 'ref/main' })],
  [
    'signed by another key in the name of the server’s',
    (world) => forgeToken(header(world), claims(), by(stranger)),
  ],
  ['of no algorithm', (world) => forgeToken(header(world, { alg: 'none' }), claims(), none)],
  ['of no algorithm, in capitals', (world) => forgeToken(header(world, { alg: 'NONE' }), claims(), none)],
  ['without a signature', (world) => forgeToken(header(world), claims(), none)],
  [
    'HS256 with the public key',
    (world) =>
      forgeToken(header(world, { alg: 'HS256' }), claims(), (input) =>
        createHmac('sha256', world.server.key.publicKey).update(input).digest(),
      ),
  ],
  [
    'HS256 with the public key as PEM',
    (world) =>
      forgeToken(header(world, { alg: 'HS256' }), claims(), (input) =>
        createHmac(
          'sha256',
          createPublicKey(world.server.key.privateKey).export({ format: 'pem', type: 'spki' }),
        )
          .update(input)
          .digest(),
      ),
  ],
  [
    'a key in its header',
    (world) =>
      forgeToken(
        header(world, {
          kid: stranger.id,
          jwk: createPublicKey(stranger.privateKey).export({ format: 'jwk' }),
        }),
        claims(),
        by(stranger),
      ),
  ],
  ['no key id', (world) => forgeToken(header(world, { kid: undefined }), claims(), by(stranger))],
  ['pull request 7’s, that says main', (world) => mixed(world.tokens.pr7, forgeToken({}, claims(), none))],
  [
    'main’s claims under the signature of pull request 7',
    (world) => mixed(world.tokens.pr7, world.tokens.main),
  ],
  ['main’s, with a byte of its signature changed', (world) => flip(world.tokens.main)],
  ['main’s, cut short', (world) => world.tokens.main.slice(0, -3)],
  [
    'main’s, expired',
    (world) =>
      forgeToken(
        header(world),
        claims({ exp: now() - 6, nbf: now() - 100, iat: now() - 100 }),
        by(world.server.key),
      ),
  ],
  [
    'main’s, replayed in ten years',
    (world) =>
      tokenOf(
        world.server.key,
        { read: ['ref/main'], write: 'ref/main' },
        Date.now() - 10 * 365 * 86_400_000,
      ),
  ],
  [
    'main’s, not yet',
    (world) => forgeToken(header(world), claims({ nbf: now() + 60 }), by(world.server.key)),
  ],
  [
    'main’s, without an end',
    (world) => forgeToken(header(world), claims({ exp: undefined }), by(world.server.key)),
  ],
  [
    'of another issuer',
    (world) => forgeToken(header(world), claims({ iss: 'https://evil.example' }), by(world.server.key)),
  ],
  [
    'for another audience',
    (world) => forgeToken(header(world), claims({ aud: 'tsbuild-cache-staging' }), by(world.server.key)),
  ],
  ['of another type', (world) => forgeToken(header(world, { typ: 'JWT' }), claims(), by(world.server.key))],
  ['of a later version', (world) => forgeToken(header(world), claims({ v: 2 }), by(world.server.key))],
  [
    'that writes two scopes',
    (world) => forgeToken(header(world), claims({ write: [pr7, main] }), by(world.server.key)),
  ],
  [
    'that writes two scopes in one text',
    (world) => forgeToken(header(world), claims({ write: `${pr7},${main}` }), by(world.server.key)),
  ],
  [
    'that writes a pattern',
    (world) => forgeToken(header(world), claims({ write: 'acme/app:ref/*' }), by(world.server.key)),
  ],
  [
    'that writes a path',
    (world) =>
      forgeToken(header(world), claims({ write: 'acme/app:pr/7/../../ref/main' }), by(world.server.key)),
  ],
  [
    'that writes a look-alike of main',
    (world) => tokenOf(world.server.key, { read: ['ref/main'], write: 'ref/m\u0430in' }),
  ],
  ['that writes Main', (world) => tokenOf(world.server.key, { read: ['ref/main'], write: 'ref/Main' })],
  [
    'that writes main of another project',
    (world) => tokenOf(world.server.key, { changes: { write: 'evil/app:ref/main' as never } }),
  ],
  [
    'that may push every image',
    (world) => tokenOf(world.server.key, { repositories: { pull: ['**'], push: ['**', 'cache/**'] } }),
  ],
  [
    'of an administrator without a scope',
    (world) => tokenOf(world.server.key, { operations: ['pull', 'push', 'delete', 'admin'] }),
  ],
  [
    'that writes main, and may only pull',
    (world) => tokenOf(world.server.key, { read: ['ref/main'], write: 'ref/main', operations: ['pull'] }),
  ],
]

const shown: readonly Attempt[] = tokens.map(([name, make]) => ({
  row: 'CAC-01',
  name: `a token ${name}`,
  run: async (world) => {
    const token = await make(world)
    const body = recordOf(payloadOf(main, wantedKey, evilLayer))
    expectRefused(await world.send('PUT', recordPath(main, wantedKey), { token, body }))
    const blob = await world.send('POST', `/v2/cache/acme/app__ref/main/blobs/uploads/`, { token, body: '' })
    expectRefused(blob)
  },
}))

/** Where tokens are not looked for. */
const places: readonly Attempt[] = (
  [
    ['in the query', (token) => ({ path: `?access_token=${token}&token=${token}`, headers: {} })],
    [
      'in a cookie',
      (token) => ({ path: '', headers: { cookie: `token=${token}; Authorization=Bearer ${token}` } }),
    ],
    [
      'as a user name',
      (token) => ({
        path: '',
        headers: { authorization: `Basic ${Buffer.from(`${token}:`).toString('base64')}` },
      }),
    ],
    ['after another scheme', (token) => ({ path: '', headers: { authorization: `Negotiate ${token}` } })],
    [
      'after its own',
      (token, world) => ({
        path: '',
        headers: { authorization: `Bearer ${world.tokens.pr7}, Bearer ${token}` },
      }),
    ],
    [
      'in a header of a proxy',
      (token) => ({
        path: '',
        headers: { 'proxy-authorization': `Bearer ${token}`, 'x-authorization': `Bearer ${token}` },
      }),
    ],
  ] as const satisfies readonly (readonly [
    string,
    (
      token: string,
      world: World,
    ) => { readonly path: string; readonly headers: Readonly<Record<string, string>> },
  ])[]
).map(([name, where]) => ({
  row: 'CAC-05',
  name: `a good token where none is looked for: ${name}`,
  run: async (world: World) => {
    const { path, headers } = where(world.tokens.main, world)
    const body = recordOf(payloadOf(main, wantedKey, evilLayer))
    expectRefused(await world.send('PUT', `${recordPath(main, wantedKey)}${path}`, { headers, body }))
  },
}))

/** The key of the CI service of the test; see `identities`. */
export const ciKey = issuerKey('ci-1')

/** Jobs that want to be main’s. Each is exchanged, and what comes of it must not write main. */
const jobs: readonly (readonly [string, object])[] = [
  ['a pull request', {}],
  ['a pull request whose branch is main', { head_ref: 'main', base_ref: 'main' }],
  ['a pull request of number ../../ref/main', { ref: 'refs/pull/7/../../ref/main/merge' }],
  ['a pull request of number main', { ref: 'refs/pull/main/merge' }],
  ['pull_request_target', { event_name: 'pull_request_target', ref: 'refs/heads/main' }],
  ['workflow_run', { event_name: 'workflow_run', ref: 'refs/heads/main' }],
  ['a comment', { event_name: 'issue_comment', ref: 'refs/heads/main' }],
  ['a tag main', { event_name: 'push', ref: 'refs/tags/main', ref_type: 'tag' }],
  ['a tag refs/heads/main', { event_name: 'push', ref: 'refs/tags/refs/heads/main', ref_type: 'tag' }],
  ['a push to main of a fork', { event_name: 'push', ref: 'refs/heads/main', repository: 'evil/app' }],
  [
    'a push to main of a repository with a colon',
    { event_name: 'push', ref: 'refs/heads/main', repository: 'acme/app:ref' },
  ],
  ['a push to a branch with a colon', { event_name: 'push', ref: 'refs/heads/x:ref/main' }],
  ['a push to a branch with dots', { event_name: 'push', ref: 'refs/heads/x/../main' }],
  ['a push to a branch that looks like main', { event_name: 'push', ref: 'refs/heads/m\u0430in' }],
  ['a push to main that ends in a space nobody sees', { event_name: 'push', ref: 'refs/heads/main\u200b' }],
  ['a push to main that says a line more', { event_name: 'push', ref: 'refs/heads/main\n' }],
  ['a push of a list of refs', { event_name: 'push', ref: ['refs/heads/main'] }],
  ['a merge queue called main', { event_name: 'merge_group', ref: 'refs/heads/gh-readonly-queue/main/main' }],
  [
    'a push to main for another audience',
    { event_name: 'push', ref: 'refs/heads/main', aud: 'https://other' },
  ],
  ['a push to main, expired', { event_name: 'push', ref: 'refs/heads/main', exp: 1 }],
]

const exchanged: readonly Attempt[] = jobs.map(([name, changes]) => ({
  row: 'CAC-01',
  name: `the identity of ${name}`,
  run: async (world) => {
    const job = {
      ...ciClaims(world.issuer),
      event_name: 'pull_request',
      ref: 'refs/pull/7/merge',
      ref_type: 'branch',
      ...changes,
    }
    const reply = await world.send('POST', '/v1/auth/exchange', {
      body: JSON.stringify({ token: idToken(ciKey, job) }),
    })
    if (reply.status === 401) return
    const { token, write } = JSON.parse(reply.text) as {
      readonly token: string
      readonly write: string | null
    }
    if (write === 'gh:acme/app:ref/main') throw new Error('ACCEPTED: it writes main')
    for (const scope of [main, 'gh:acme/app:ref/main'] as const) {
      const body = recordOf(payloadOf(scope as typeof main, wantedKey, evilLayer))
      expectRefused(await world.send('PUT', recordPath(scope, wantedKey), { token, body }))
    }
  },
}))

/** The claims that every job has. */
export function ciClaims(issuer: TestIssuer): object {
  return {
    iss: issuer.url,
    aud: 'https://cache',
    sub: 'repo:acme/app',
    iat: now(),
    nbf: now(),
    exp: now() + 300,
    repository: 'acme/app',
    run_id: '17',
  }
}

function flip(token: string): string {
  const at = token.length - 10
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
}

/** Everything that is about who somebody is. */
export const tokenAttempts: readonly Attempt[] = [...shown, ...places, ...exchanged]
