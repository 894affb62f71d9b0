import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { encodePayload, stepPayloadType } from '@tsbuild/cache-protocol'
import { type Envelope, formatPublicKey, type SigningKey, signEnvelope, signingKeyOf } from '@tsbuild/trust'
import { openServerImporter } from '../../../libs/remote-cache/src/server/server-importer.ts'
import type { OpenTools } from '../../../libs/remote-cache/src/types.ts'
import { type Attempt, builtKey, evilLayer, main, payloadOf, pr7, type World, wantedKey } from './world.ts'

const stranger = signingKeyOf(Buffer.alloc(32, 66))

/** What somebody answers who stands where main's agents expect their server. */
export interface Impostor {
  /** Public keys that it shows, in base64. */
  readonly keys: readonly string[]
  readonly read: readonly string[]
  /** The body of the answer to every look-up. */
  readonly reply: string
}

/** What the client of main goes by. */
interface ClientTrust {
  /** A file of keys. */
  readonly keysFile?: string
  /** The text of the file of known servers; undefined: none, so that the first contact counts. */
  readonly known?: string
}

/** Asks an impostor as an agent of main does. @returns how many records it takes for true */
async function ask(world: World, impostor: Impostor, { keysFile, known }: ClientTrust): Promise<number> {
  const server = createServer((request, response) => {
    request.resume()
    const scopes = Object.fromEntries(impostor.read.map((scope) => [scope, `cache/${scope.length}`]))
    const capabilities = {
      protocol: 1,
      subject: 'token:main',
      keys: impostor.keys.map((publicKey) => ({ id: 'shown', publicKey })),
      read: impostor.read,
      write: null,
      repositories: scopes,
      maxBlobBytes: 1e9,
      features: [],
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(request.url === '/v1/capabilities' ? JSON.stringify(capabilities) : impostor.reply)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const [knownServers, policyFile] = [join(world.folder, 'known.json'), join(world.folder, 'keys')]
  if (known !== undefined) writeFileSync(knownServers, known.replace('URL', url))
  if (keysFile !== undefined) writeFileSync(policyFile, keysFile)
  const tools = { now: Date.now, builder: 'test', knownServers } as unknown as OpenTools
  const policy = keysFile === undefined ? undefined : { file: policyFile }
  const importer = openServerImporter(
    { type: 'server', url, token: async () => world.tokens.main, policy } as never,
    tools,
  )
  try {
    const step = { key: wantedKey, op: 'RUN', inputs: [], inputNames: [] } as never
    return (await importer.find([step], AbortSignal.timeout(10_000))).length
  } finally {
    await importer.close()
    server.closeAllConnections()
    server.close()
    rmSync(knownServers, { force: true })
    rmSync(policyFile, { force: true })
  }
}

const replyOf = (...envelopes: readonly object[]): string =>
  JSON.stringify({ records: envelopes.map((envelope) => ({ envelope })) })
const signedBy = (key: SigningKey, scope = main, wanted = wantedKey, type = stepPayloadType): Envelope =>
  signEnvelope(key, type, encodePayload(payloadOf(scope, wanted, evilLayer)))
const pinned = (key: SigningKey): string =>
  JSON.stringify({ v: 1, servers: { URL: { keys: [formatPublicKey(key)], since: 1 } } })

/** An impostor that differs from the true server in nothing but what is said. */
function like(world: World, changes: Partial<Impostor> = {}): Impostor {
  return {
    keys: [formatPublicKey(world.server.key)],
    read: [main],
    reply: replyOf(signedBy(world.server.key)),
    ...changes,
  }
}

/** A record in the name of the true key that another one signed. */
function inTheNameOf(world: World): Envelope {
  const forged = signedBy(stranger)
  return { ...forged, signatures: forged.signatures.map(({ sig }) => ({ keyid: world.server.key.id, sig })) }
}

const answers: readonly (readonly [
  string,
  string,
  (world: World) => readonly [Partial<Impostor>, ClientTrust?],
])[] = [
  [
    'CAC-04',
    'a server with another key than at the first contact',
    (world) => [
      { keys: [formatPublicKey(stranger)], reply: replyOf(signedBy(stranger)) },
      { known: pinned(world.server.key) },
    ],
  ],
  [
    'CAC-04',
    'a server that shows the old key behind its own',
    (world) => [
      {
        keys: [formatPublicKey(stranger), formatPublicKey(world.server.key)],
        reply: replyOf(signedBy(stranger)),
      },
      { known: pinned(world.server.key) },
    ],
  ],
  [
    'CAC-04',
    'a server that shows the old key before its own',
    (world) => [
      {
        keys: [formatPublicKey(world.server.key), formatPublicKey(stranger)],
        reply: replyOf(signedBy(stranger)),
      },
      { known: pinned(world.server.key) },
    ],
  ],
  ['CAC-04', 'a record that a stranger signed', () => [{ reply: replyOf(signedBy(stranger)) }]],
  [
    'CAC-04',
    'a record that a stranger signed in the name of the server',
    (world) => [{ reply: replyOf(inTheNameOf(world)) }],
  ],
  [
    'CAC-04',
    'a record that nobody signed',
    (world) => [{ reply: replyOf({ ...signedBy(world.server.key), signatures: [] }) }],
  ],
  [
    'CAC-04',
    'the record of another key',
    (world) => [{ reply: replyOf(signedBy(world.server.key, main, builtKey)) }],
  ],
  [
    'CAC-01',
    'the signed record of pull request 7',
    (world) => [{ reply: replyOf(signedBy(world.server.key, pr7)) }],
  ],
  [
    'CAC-01',
    'the signed record of pull request 7, and the word that main reads it',
    (world) => [{ read: [main, pr7], reply: replyOf(signedBy(world.server.key, pr7)) }],
  ],
  [
    'CAC-04',
    'a record whose signature is over another type',
    (world) => [
      {
        reply: replyOf({
          ...signedBy(world.server.key, main, wantedKey, 'text/plain'),
          payloadType: stepPayloadType,
        }),
      },
    ],
  ],
  [
    'CAC-04',
    'a record of another type',
    (world) => [
      { reply: replyOf(signedBy(world.server.key, main, wantedKey, 'application/vnd.tsbuild.step.v0+json')) },
    ],
  ],
  [
    'CAC-04',
    'a record of an older version',
    (world) => [
      {
        reply: replyOf(
          signEnvelope(
            world.server.key,
            stepPayloadType,
            Buffer.from(JSON.stringify({ ...payloadOf(main, wantedKey, evilLayer), v: 0 })),
          ),
        ),
      },
    ],
  ],
  [
    'CAC-02',
    'more records than were asked for',
    (world) => [{ reply: replyOf(signedBy(world.server.key), signedBy(world.server.key)) }],
  ],
  ['CAC-02', 'no records', () => [{ reply: '{"records":{}}' }]],
  ['CAC-02', 'a page of HTML', () => [{ reply: '<html>' }]],
  [
    'CAC-04',
    'a record of the server, to a client with a file of other keys',
    () => [{}, { keysFile: `** ${formatPublicKey(stranger)}\n` }],
  ],
  [
    'CAC-04',
    'a key that may speak for pull requests, about main',
    () => [
      { reply: replyOf(signedBy(stranger)) },
      { keysFile: `acme/app:pr/* ${formatPublicKey(stranger)}\n` },
    ],
  ],
  ['CAC-04', 'a file of keys that was emptied', () => [{}, { keysFile: '' }]],
  [
    'CAC-04',
    'a file of keys that was damaged',
    (world) => [{}, { keysFile: `** ${formatPublicKey(world.server.key).slice(1)}\n` }],
  ],
  ['CAC-04', 'a file of known servers that was emptied', () => [{}, { known: '' }]],
  [
    'CAC-04',
    'a file of known servers of another version',
    (world) => [{}, { known: pinned(world.server.key).replace('"v":1', '"v":0') }],
  ],
  [
    'CAC-04',
    'a file of known servers whose entry was damaged',
    () => [{}, { known: '{"v":1,"servers":{"URL":{"keys":7}}}' }],
  ],
]

/** What whoever stands between, or took the place of the server, makes the client of main believe. */
export const clientAttempts: readonly Attempt[] = answers.map(([row, name, make]) => ({
  row,
  name,
  run: async (world) => {
    const [changes, trust = {}] = make(world)
    const taken = await ask(world, like(world, changes), trust).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_CACHE')) return 0
      throw error
    })
    if (taken > 0) throw new Error('ACCEPTED: the client takes it for true')
  },
}))

/** What the client does take, in the same way. */
export const takesWhatIsTrue = async (world: World): Promise<readonly number[]> => [
  await ask(world, like(world), {}),
  await ask(world, like(world), { known: pinned(world.server.key) }),
  await ask(world, like(world), { keysFile: `acme/app:ref/* ${formatPublicKey(world.server.key)}\n` }),
]
