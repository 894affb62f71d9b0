import type { Scope } from '@tsbuild/trust'
import {
  type Attempt,
  builtKey,
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

const evilForMain = (): string => recordOf(payloadOf(main, wantedKey, evilLayer))
const evilForOurs = (): string => recordOf(payloadOf(pr7, wantedKey, evilLayer))

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

/** Requests of pull request 7 that mean main: by what they say, by their headers, by their path. */
export const forgedScopes: readonly Attempt[] = [...forged, ...headers, ...batch, ...paths, ...unicode]
