import { stepPayloadType } from '@tsbuild/cache-protocol'
import { signEnvelope, signingKeyOf } from '@tsbuild/trust'
import {
  type Attempt,
  builtKey,
  digestOf,
  evilLayer,
  expectRefused,
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

type Sent = readonly (readonly [name: string, send: (world: World) => ReturnType<World['send']>])[]

/** What a record says of its scope, its key, its version and who signed it. */
const aboutItself: Sent = [
  [
    'the record of main under another key',
    (world) =>
      world.send('PUT', recordPath(main, wantedKey), {
        token: world.tokens.main,
        body: JSON.stringify({ envelope: world.good }),
      }),
  ],
  [
    'the record of main in its own scope',
    (world) =>
      world.send('PUT', recordPath(pr7, builtKey), {
        token: world.tokens.pr7,
        body: JSON.stringify({ envelope: world.good }),
      }),
  ],
  [
    'another result for the same key, by main itself',
    (world) =>
      world.send('PUT', recordPath(main, builtKey), {
        token: world.tokens.main,
        body: recordOf(payloadOf(main, builtKey, evilLayer)),
      }),
  ],
  [
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
    'an older version',
    (world) => put1(world, rawRecord(JSON.stringify({ ...payloadOf(pr7, wantedKey, evilLayer), v: 0 }))),
  ],
  [
    'a later version',
    (world) => put1(world, rawRecord(JSON.stringify({ ...payloadOf(pr7, wantedKey, evilLayer), v: 2 }))),
  ],
  [
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
    'two scopes, the last one main',
    (world) =>
      put1(
        world,
        rawRecord(JSON.stringify(payloadOf(pr7, wantedKey, evilLayer)).replace(/\}$/, `,"scope":"${main}"}`)),
      ),
  ],
  [
    'a scope that is a list',
    (world) =>
      put1(world, rawRecord(JSON.stringify({ ...payloadOf(pr7, wantedKey, evilLayer), scope: [pr7, main] }))),
  ],
  [
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
    'a signature by a key of its own, over main',
    (world) =>
      world.send('PUT', recordPath(main, wantedKey), {
        token: world.tokens.pr7,
        body: signedBy(payloadOf(main, wantedKey, evilLayer)),
      }),
  ],
]

/** What a record says that it consists of. */
const aboutItsLayers: Sent = [
  [
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
  ['a layer of a negative size', (world) => put1(world, lying({ size: -1 }))],
  ['a layer of no digest', (world) => put1(world, lying({ digest: '../../etc/passwd' }))],
  [
    'a layer whose digest is of another algorithm',
    (world) => put1(world, lying({ digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' })),
  ],
  ['a layer that is nowhere', (world) => put1(world, lying({ digest: digestOf('nowhere') }))],
  ['no JSON', (world) => put1(world, rawRecord('{"v":1'))],
  [
    'a body that is compressed',
    (world) =>
      world.send('PUT', recordPath(pr7, wantedKey), {
        token: world.tokens.pr7,
        body: recordOf(payloadOf(main, wantedKey, evilLayer)),
        headers: { 'content-encoding': 'deflate' },
      }),
  ],
  [
    'members of the prototype',
    (world) =>
      put1(world, rawRecord(`{"__proto__":${JSON.stringify(payloadOf(main, wantedKey, evilLayer))}}`)),
  ],
]

const refused = (row: string, sent: Sent): readonly Attempt[] =>
  sent.map(([name, send]) => ({ row, name, run: async (world) => expectRefused(await send(world)) }))

/** Records that say what is not so. */
export const falseRecords: readonly Attempt[] = [
  ...refused('CAC-04', aboutItself),
  ...refused('CAC-02', aboutItsLayers),
]

const stranger = signingKeyOf(Buffer.alloc(32, 66))

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
