import { stepPayloadType } from '@tsbuild/cache-protocol'
import { repositoryOfScope, type Scope, signEnvelope, signingKeyOf } from '@tsbuild/trust'
import {
  type Attempt,
  builtKey,
  digestOf,
  evilLayer,
  expectRefused,
  goodLayer,
  main,
  otherKey,
  payloadOf,
  pr7,
  rawRecord,
  recordOf,
  recordPath,
  type World,
  wantedKey,
} from './world.ts'

const evilForMain = (): string => recordOf(payloadOf(main, wantedKey, evilLayer))
const evilForOurs = (): string => recordOf(payloadOf(pr7, wantedKey, evilLayer))
const stranger = signingKeyOf(Buffer.alloc(32, 66))

const put =
  (path: string, body: () => string, headers: Readonly<Record<string, string>> = {}) =>
  async (world: World): Promise<void> =>
    expectRefused(await world.send('PUT', path, { token: world.tokens.pr7, body: body(), headers }))

/** A request of pull request 7 that names main. */
const forged: readonly Attempt[] = [
  ['a record of main, where it belongs', put(recordPath(main, wantedKey), evilForMain)],
  ['a record of main, under its own scope', put(recordPath(pr7, wantedKey), evilForMain)],
  ['a record of its own, under main', put(recordPath(main, wantedKey), evilForOurs)],
  [
    'another result for what main has built',
    put(recordPath(main, builtKey), () => recordOf(payloadOf(main, builtKey, evilLayer))),
  ],
  [
    'a record of a scope like main',
    put(recordPath('acme/app:ref/main2', wantedKey), () =>
      recordOf(payloadOf('acme/app:ref/main2' as Scope, wantedKey, evilLayer)),
    ),
  ],
  [
    'a record of pull request 8',
    put(recordPath('acme/app:pr/8', wantedKey), () =>
      recordOf(payloadOf('acme/app:pr/8' as Scope, wantedKey, evilLayer)),
    ),
  ],
  [
    'a record of pull request 77',
    put(recordPath('acme/app:pr/77', wantedKey), () =>
      recordOf(payloadOf('acme/app:pr/77' as Scope, wantedKey, evilLayer)),
    ),
  ],
  [
    'a record of the server’s own loopback scope',
    put(recordPath('local:ref/main', wantedKey), () =>
      recordOf(payloadOf('local:ref/main' as Scope, wantedKey, evilLayer)),
    ),
  ],
].map(([name, run]) => ({ row: 'CAC-01', name: String(name), run: run as Attempt['run'] }))

const headers: readonly Attempt[] = [
  { 'X-Tsbuild-Scope': main },
  { 'X-Scope': main },
  { 'X-Original-URL': recordPath(main, wantedKey) },
  { 'X-Rewrite-URL': recordPath(main, wantedKey) },
  { 'X-HTTP-Method-Override': 'DELETE' },
  { 'X-Forwarded-User': 'token:main' },
  { 'X-Remote-User': 'admin', 'X-Forwarded-For': '127.0.0.1' },
  { 'Content-Encoding': 'gzip' },
  { Cookie: `token=main; scope=${main}` },
  { 'X-Forwarded-Prefix': '/v1/records/acme/app:ref/main' },
].map((sent) => ({
  row: 'CAC-01',
  name: `a forged header: ${JSON.stringify(sent)}`,
  run: put(recordPath(pr7, wantedKey), evilForMain, sent as Readonly<Record<string, string>>),
}))

const batch: readonly Attempt[] = [
  ['among its own', [evilForOurs, evilForMain]],
  ['alone', [evilForMain]],
  ['before its own', [evilForMain, evilForOurs]],
].map(([name, bodies]) => ({
  row: 'CAC-01',
  name: `a record of main in a batch, ${name}`,
  run: async (world: World) => {
    const records = (bodies as readonly (() => string)[]).map((body) => JSON.parse(body()) as object)
    const { status, text } = await world.send('POST', '/v1/records', {
      token: world.tokens.pr7,
      body: JSON.stringify({ records }),
    })
    const { outcomes } = JSON.parse(text) as { readonly outcomes: readonly { readonly outcome: string }[] }
    const ofMain = (bodies as readonly (() => string)[]).indexOf(evilForMain)
    if (status !== 200 || outcomes[ofMain]?.outcome !== 'forbidden')
      throw new Error(`answered ${status}: ${text}`)
  },
}))

/** Targets that somebody might take for main; sent as they are. */
const targets = [
  '/v1/records/acme/app:pr/7/../../app:ref/main/K',
  '/v1/records/acme/app:pr/7/../main/K',
  '/v1/records/acme/app:pr/7/%2e%2e/%2e%2e/app:ref/main/K',
  '/v1/records/acme/app:pr/7/%2E%2E/main/K',
  '/v1/records/acme/app:pr/7/..%2fmain/K',
  '/v1/records/acme/app:pr/7%2f..%2f..%2fapp:ref%2fmain/K',
  '/v1/records/acme/app:pr/7/%252e%252e/main/K',
  '/v1/records/acme/app:pr/7/..%252f..%252fref/main/K',
  '/v1/records/acme/app:pr/7/./../main/K',
  '/v1/records/acme/app:pr/7//main/K',
  '/v1//records/acme/app:ref/main/K',
  '/v1/records//acme/app:ref/main/K',
  '/v1/records/acme/app:pr/7\\..\\main/K',
  '/v1/records/acme/app:pr/7%5c..%5cmain/K',
  '/v1/records/acme/app:pr/7/..;/main/K',
  '/v1/records/acme/app:pr/7;/../main/K',
  '/v1/records/acme/app:pr/7%00/K',
  '/v1/records/acme/app:ref/main%00/K',
  '/v1/records/acme/app:pr/7%0d%0aX-Scope:%20main/K',
  '/v1/records/acme/app:pr/7/%c0%ae%c0%ae/main/K',
  '/v1/records/acme/app:pr/7/%EF%BC%8E%EF%BC%8E/main/K',
  '/v1/records/acme%EF%BC%8Fapp:ref/main/K',
  '/v1/records/acme/app%EF%BC%9Aref/main/K',
  '/v1/records/acme/app%253Aref/main/K',
  'http://evil.example/v1/records/acme/app:ref/main/K',
  'http://127.0.0.1/v1/records/acme/app:ref/main/K',
  '//127.0.0.1/v1/records/acme/app:ref/main/K',
  '/v1/records/acme/app:ref/main/K?scope=acme/app:pr/7',
  '/v1/records/acme/app:ref/main/K#/acme/app:pr/7',
  '/V1/records/acme/app:ref/main/K',
  '/v1/records/acme/app:ref/main/K/',
  '/v1/records/acme/app:ref/main/K%20',
  '/v1/records/acme/app:ref/main/K%2f..',
  '*',
  '',
  'v1/records/acme/app:ref/main/K',
  '/v2/../v1/records/acme/app:ref/main/K',
  '/healthz/../v1/records/acme/app:ref/main/K',
]
const paths: readonly Attempt[] = targets.map((target) => ({
  row: 'CAC-08',
  name: `the path ${target}`,
  run: async (world: World) => {
    const status = await world.raw('PUT', target.replace('K', wantedKey), world.tokens.pr7, evilForMain())
    if (status !== 0 && (status < 400 || status >= 500)) throw new Error(`answered ${status}`)
  },
}))

/** Scopes that look like main, or that a careless reader makes main of. */
const lookAlikes = [
  'acme/app:ref/m\u0430in',
  'acme/app:ref/\uff4dain',
  'acme/app:ref/main\u200b',
  'acme/app:ref/\u202emain',
  'acme/app:ref/ma\u0131n',
  'acme/app:ref/MAIN',
  'acme/app:ref/Main',
  'ACME/app:ref/main',
  'acme/\u0430pp:ref/main',
  'acme/app:ref/main\u0301',
  'acme/app:ref/main ',
  'acme/app:ref/main/.',
  'acme/app:ref/main/x',
  'acme/app:REF/main',
  'acme/app:ref/refs/heads/main',
  'app:ref/main',
]
const unicode: readonly Attempt[] = lookAlikes.map((scope) => ({
  row: 'CAC-01',
  name: `the look-alike ${JSON.stringify(scope)}`,
  run: async (world: World) => {
    const path = recordPath(scope.split('/').map(encodeURIComponent).join('/'), wantedKey)
    expectRefused(
      await world.send('PUT', path, {
        token: world.tokens.pr7,
        body: recordOf(payloadOf(scope as Scope, wantedKey, evilLayer)),
      }),
    )
  },
}))

/** What a record says of itself. */
const lies: readonly Attempt[] = (
  [
    [
      'CAC-04',
      'the record of main under another key',
      (world) =>
        world.send('PUT', recordPath(main, wantedKey), {
          token: world.tokens.main,
          body: JSON.stringify({ envelope: world.good }),
        }),
    ],
    [
      'CAC-04',
      'the record of main in its own scope',
      (world) =>
        world.send('PUT', recordPath(pr7, builtKey), {
          token: world.tokens.pr7,
          body: JSON.stringify({ envelope: world.good }),
        }),
    ],
    [
      'CAC-04',
      'another result for the same key, by main itself',
      (world) =>
        world.send('PUT', recordPath(main, builtKey), {
          token: world.tokens.main,
          body: recordOf(payloadOf(main, builtKey, evilLayer)),
        }),
    ],
    [
      'CAC-04',
      'a key among many that is not the one of the path',
      (world) =>
        world.send('PUT', recordPath(main, wantedKey), {
          token: world.tokens.main,
          body: recordOf({
            ...payloadOf(main, otherKey, evilLayer),
            result: { ...payloadOf(main, otherKey, evilLayer).result, keys: [otherKey, wantedKey] },
          }),
        }),
    ],
    [
      'CAC-04',
      'a key that its result does not have',
      (world) =>
        put1(
          world,
          rawRecord(
            JSON.stringify({
              ...payloadOf(pr7, wantedKey, evilLayer),
              result: { ...payloadOf(pr7, wantedKey, evilLayer).result, keys: [builtKey] },
            }),
          ),
        ),
    ],
    [
      'CAC-04',
      'an older version',
      (world) => put1(world, rawRecord(JSON.stringify({ ...payloadOf(pr7, wantedKey, evilLayer), v: 0 }))),
    ],
    [
      'CAC-04',
      'a later version',
      (world) => put1(world, rawRecord(JSON.stringify({ ...payloadOf(pr7, wantedKey, evilLayer), v: 2 }))),
    ],
    [
      'CAC-04',
      'another type',
      (world) =>
        put1(
          world,
          rawRecord(JSON.stringify(payloadOf(pr7, wantedKey, evilLayer)), {
            payloadType: 'application/vnd.in-toto+json',
          }),
        ),
    ],
    [
      'CAC-04',
      'two scopes, the last one main',
      (world) =>
        put1(
          world,
          rawRecord(
            JSON.stringify(payloadOf(pr7, wantedKey, evilLayer)).replace(/\}$/, `,"scope":"${main}"}`),
          ),
        ),
    ],
    [
      'CAC-04',
      'a scope that is a list',
      (world) =>
        put1(
          world,
          rawRecord(JSON.stringify({ ...payloadOf(pr7, wantedKey, evilLayer), scope: [pr7, main] })),
        ),
    ],
    [
      'CAC-04',
      'a signature of main’s server that is none',
      (world) =>
        put1(
          world,
          recordOf(
            payloadOf(pr7, wantedKey, evilLayer, {
              producer: { subject: 'token:pr7', builder: 'x', run: undefined },
            }),
            [{ keyid: world.server.key.id, sig: Buffer.alloc(64, 1).toString('base64') }],
          ),
        ),
    ],
    [
      'CAC-04',
      'the signature of main’s record',
      (world) =>
        put1(
          world,
          recordOf(
            payloadOf(pr7, wantedKey, evilLayer, {
              producer: { subject: 'token:pr7', builder: 'x', run: undefined },
            }),
            world.good.signatures,
          ),
        ),
    ],
    [
      'CAC-04',
      'a signature by a key of its own, in the name of main',
      (world) =>
        put1(
          world,
          signedBy(
            payloadOf(pr7, wantedKey, evilLayer, {
              producer: { subject: 'token:main', builder: 'x', run: undefined },
            }),
          ),
        ),
    ],
    [
      'CAC-04',
      'a signature by a key of its own, over main',
      (world) =>
        world.send('PUT', recordPath(main, wantedKey), {
          token: world.tokens.pr7,
          body: signedBy(payloadOf(main, wantedKey, evilLayer)),
        }),
    ],
    [
      'CAC-02',
      'no layer',
      (world) =>
        put1(
          world,
          rawRecord(
            JSON.stringify({
              ...payloadOf(pr7, wantedKey, evilLayer),
              result: { ...payloadOf(pr7, wantedKey, evilLayer).result, layer: [] },
            }),
          ),
        ),
    ],
    ['CAC-02', 'a layer of a negative size', (world) => put1(world, lying({ size: -1 }))],
    ['CAC-02', 'a layer of no digest', (world) => put1(world, lying({ digest: '../../etc/passwd' }))],
    [
      'CAC-02',
      'a layer whose digest is of another algorithm',
      (world) => put1(world, lying({ digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' })),
    ],
    ['CAC-02', 'a layer that is nowhere', (world) => put1(world, lying({ digest: digestOf('nowhere') }))],
    ['CAC-02', 'no JSON', (world) => put1(world, rawRecord('{"v":1'))],
    [
      'CAC-02',
      'a body that is compressed',
      (world) =>
        world.send('PUT', recordPath(pr7, wantedKey), {
          token: world.tokens.pr7,
          body: evilForMain(),
          headers: { 'content-encoding': 'deflate' },
        }),
    ],
    [
      'CAC-02',
      'members of the prototype',
      (world) =>
        put1(world, rawRecord(`{"__proto__":${JSON.stringify(payloadOf(main, wantedKey, evilLayer))}}`)),
    ],
  ] as const satisfies readonly (readonly [string, string, (world: World) => ReturnType<World['send']>])[]
).map(([row, name, send]) => ({ row, name, run: async (world: World) => expectRefused(await send(world)) }))

const put1 = (world: World, body: string): ReturnType<World['send']> =>
  world.send('PUT', recordPath(pr7, wantedKey), { token: world.tokens.pr7, body })

function signedBy(payload: ReturnType<typeof payloadOf>): string {
  const { envelope } = JSON.parse(recordOf(payload)) as { readonly envelope: { readonly payload: string } }
  return JSON.stringify({
    envelope: signEnvelope(stranger, stepPayloadType, Buffer.from(envelope.payload, 'base64')),
  })
}

function lying(changes: object): string {
  const payload = payloadOf(pr7, wantedKey, evilLayer)
  return rawRecord(
    JSON.stringify({
      ...payload,
      result: { ...payload.result, layer: [{ ...payload.result.layer[0], ...changes }] },
    }),
  )
}

/** What a project of others does with the digests of main's layers. */
const theirs = 'evil/app:ref/main' as Scope
const ofTheirs = `/v2/${repositoryOfScope(theirs)}`
const ofMain = repositoryOfScope(main)
const layer = digestOf(goodLayer)
const blobs: readonly Attempt[] = (
  [
    [
      'GET of main’s layer through its own repository',
      (world) => world.send('GET', `${ofTheirs}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'HEAD of it',
      (world) => world.send('HEAD', `${ofTheirs}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'a range of it',
      (world) =>
        world.send('GET', `${ofTheirs}/blobs/${layer}`, {
          token: world.tokens.stranger,
          headers: { range: 'bytes=0-3' },
        }),
    ],
    [
      'GET of it where it is',
      (world) => world.send('GET', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'HEAD of it where it is',
      (world) => world.send('HEAD', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.stranger }),
    ],
    [
      'tags of main',
      (world) => world.send('GET', `/v2/${ofMain}/tags/list`, { token: world.tokens.stranger }),
    ],
    [
      'an upload of no bytes with its digest',
      (world) =>
        world.send('POST', `${ofTheirs}/blobs/uploads/?digest=${layer}`, {
          token: world.tokens.stranger,
          body: '',
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'an upload of other bytes with its digest',
      (world) =>
        world.send('POST', `${ofTheirs}/blobs/uploads/?digest=${layer}`, {
          token: world.tokens.stranger,
          body: evilLayer,
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'a record that names it',
      (world) =>
        world.send('PUT', recordPath(theirs, wantedKey), {
          token: world.tokens.stranger,
          body: recordOf(payloadOf(theirs, wantedKey, goodLayer)),
        }),
    ],
    [
      'a manifest that names it',
      (world) =>
        world.send('PUT', `${ofTheirs}/manifests/x`, {
          token: world.tokens.stranger,
          headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
          body: manifestOf(layer),
        }),
    ],
    [
      'which blobs main lacks',
      (world) =>
        world.send('POST', '/v1/missing', {
          token: world.tokens.stranger,
          body: JSON.stringify({ scope: main, digests: [layer] }),
        }),
    ],
    [
      'other bytes for the digest of main’s layer',
      (world) =>
        world.send('POST', `/v2/${ofMain}/blobs/uploads/?digest=${layer}`, {
          token: world.tokens.main,
          body: evilLayer,
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'bytes into main’s repository',
      (world) =>
        world.send('POST', `/v2/${ofMain}/blobs/uploads/?digest=${digestOf(evilLayer)}`, {
          token: world.tokens.pr7,
          body: evilLayer,
          headers: { 'content-type': 'application/octet-stream' },
        }),
    ],
    [
      'a tag in main’s repository',
      (world) =>
        world.send('PUT', `/v2/${ofMain}/manifests/latest`, {
          token: world.tokens.pr7,
          headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
          body: manifestOf(layer),
        }),
    ],
    [
      'the layer of main deleted',
      (world) => world.send('DELETE', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.pr7 }),
    ],
    [
      'the layer of main deleted, by main’s own token, which may push',
      (world) => world.send('DELETE', `/v2/${ofMain}/blobs/${layer}`, { token: world.tokens.main }),
    ],
  ] as const satisfies readonly (readonly [string, (world: World) => ReturnType<World['send']>])[]
).map(([name, send]) => ({
  row: 'CAC-07',
  name,
  run: async (world: World) => expectRefused(await send(world)),
}))

const presence: readonly Attempt[] = [
  {
    row: 'CAC-07',
    name: 'main’s layer mounted from main’s repository: an upload is demanded',
    run: async (world) => {
      const { status } = await world.send(
        'POST',
        `${ofTheirs}/blobs/uploads/?mount=${layer}&from=${ofMain}`,
        { token: world.tokens.stranger },
      )
      if (status !== 202) throw new Error(`answered ${status}`)
    },
  },
  {
    row: 'CAC-07',
    name: 'main’s layer mounted from anywhere: an upload is demanded',
    run: async (world) => {
      const { status } = await world.send('POST', `${ofTheirs}/blobs/uploads/?mount=${layer}`, {
        token: world.tokens.stranger,
      })
      if (status !== 202) throw new Error(`answered ${status}`)
    },
  },
  {
    row: 'CAC-07',
    name: 'which blobs its own scope lacks: main’s layer is one of them',
    run: async (world) => {
      const { text } = await world.send('POST', '/v1/missing', {
        token: world.tokens.stranger,
        body: JSON.stringify({ scope: theirs, digests: [layer] }),
      })
      if (text !== '{"missing":[0]}') throw new Error(`answered ${text}`)
    },
  },
]

function manifestOf(digest: string): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest, size: goodLayer.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: goodLayer.length }],
  })
}

/** Everything that a holder of a token may send. */
export const requestAttempts: readonly Attempt[] = [
  ...forged,
  ...headers,
  ...batch,
  ...paths,
  ...unicode,
  ...lies,
  ...blobs,
  ...presence,
]
