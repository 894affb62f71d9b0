import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { encodePayload, encodeRecord, stepPayloadType } from '@tsbuild/cache-protocol'
import { digestHex } from '@tsbuild/digest'
import { signEnvelope, signingKeyOf } from '@tsbuild/trust'
import {
  type Attempt,
  builtKey,
  evilLayer,
  goodLayer,
  main,
  otherKey,
  payloadOf,
  pr7,
  type World,
  wantedKey,
} from './world.ts'

const stranger = signingKeyOf(Buffer.alloc(32, 66))

/** Files of the storage below which a name occurs, largest first. */
function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
}

/** The file of the record of a scope: the one that holds it. */
function recordFile(world: World, scope: string, key: string): string {
  const hex = digestHex(key as never)
  const found = filesOf(world.server.dir).find((path) => {
    if (!path.endsWith(hex)) return false
    const bytes = readFileSync(path).toString()
    return (
      bytes.includes('envelope') &&
      Buffer.from(/"payload":"([^"]*)"/.exec(bytes)?.[1] ?? '', 'base64')
        .toString()
        .includes(scope)
    )
  })
  if (found === undefined) throw new Error(`the storage has no record of ${scope}`)
  return found
}

/** The files that hold the bytes of a blob. */
function blobFiles(world: World, bytes: Buffer): readonly string[] {
  const found = filesOf(world.server.dir).filter((path) => readFileSync(path).equals(bytes))
  if (found.length === 0) throw new Error('the storage has no such blob')
  return found
}

interface Change {
  readonly row: string
  readonly name: string
  readonly change: (world: World) => void
}

const inRecord = (name: string, change: (text: string) => string | Buffer): Change => ({
  row: 'CAC-02',
  name: `the record of main with ${name}`,
  change: (world) => {
    const file = recordFile(world, main, builtKey)
    writeFileSync(file, change(readFileSync(file, 'utf8')))
  },
})

const flipAt = (text: string, at: number): Buffer => {
  const bytes = Buffer.from(text)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes
}

/** One byte of each member, and of what is between them. */
const places: Readonly<Record<string, (text: string) => number>> = {
  'the first brace': () => 0,
  'a name of a member': (text) => text.indexOf('envelope'),
  'the type': (text) => text.indexOf('step.v1'),
  'the beginning of the payload': (text) => text.indexOf('"payload":"') + 12,
  'the middle of the payload': (text) => text.indexOf('"payload":"') + 400,
  'the key id': (text) => text.indexOf('ed25519:') + 10,
  'the beginning of the signature': (text) => text.indexOf('"sig":"') + 8,
  'the end of the signature': (text) => text.indexOf('==', text.indexOf('"sig":"')) - 3,
  'the last brace': (text) => text.length - 1,
}

/** A record of other content, as its own key would sign it. */
function forgedBy(key: ReturnType<typeof signingKeyOf>, scope = main, wanted = builtKey): string {
  const payload = payloadOf(scope, wanted, evilLayer)
  return encodeRecord({ envelope: signEnvelope(key, stepPayloadType, encodePayload(payload)) })
}

const records: readonly Change[] = [
  ...Object.entries(places).map(([name, at]) =>
    inRecord(`a flipped bit in ${name}`, (text) => flipAt(text, at(text))),
  ),
  inRecord('nothing in it', () => ''),
  inRecord('its half', (text) => text.slice(0, text.length / 2)),
  inRecord('zeroes', (text) => Buffer.alloc(text.length)),
  inRecord('bytes behind it', (text) => `${text}{}`),
  inRecord('null for all', () => 'null'),
  inRecord('the content of an attacker, unsigned', (text) =>
    text.replace(
      /"payload":"[^"]*"/,
      `"payload":"${Buffer.from(encodePayload(payloadOf(main, builtKey, evilLayer))).toString('base64')}"`,
    ),
  ),
  inRecord('the content and the key of an attacker', () => forgedBy(stranger)),
  inRecord('the key of an attacker under the id of the server’s', (text) =>
    forgedBy(stranger).replace(stranger.id, /"keyid":"([^"]*)"/.exec(text)?.[1] ?? ''),
  ),
  inRecord('no signatures', (text) => text.replace(/"signatures":\[.*\]/, '"signatures":[]')),
  inRecord('an older schema', (text) => reSigned(text, (payload) => ({ ...payload, v: 0 }))),
]

function reSigned(text: string, change: (payload: object) => object): string {
  const written = /"payload":"([^"]*)"/.exec(text)?.[1] ?? ''
  const payload = change(JSON.parse(Buffer.from(written, 'base64').toString()) as object)
  return text.replace(written, Buffer.from(JSON.stringify(payload)).toString('base64'))
}

/** Records and blobs in the places of others. */
const moved: readonly Change[] = [
  {
    row: 'CAC-04',
    name: 'the record of another step of main in its place',
    change: (world) => copyFileSync(recordFile(world, main, otherKey), recordFile(world, main, builtKey)),
  },
  {
    row: 'CAC-04',
    name: 'a signed record of main under a key that it never built',
    change: (world) => {
      const from = recordFile(world, main, builtKey)
      const [built, wanted] = [digestHex(builtKey), digestHex(wantedKey)]
      writeBeside(
        from
          .replaceAll(built, wanted)
          .replace(`/${built.slice(0, 2)}/${wanted}`, `/${wanted.slice(0, 2)}/${wanted}`),
        readFileSync(from),
      )
    },
  },
  {
    row: 'CAC-04',
    name: 'the signed record of pull request 7 in the place of main’s',
    change: (world) => copyFileSync(recordFile(world, pr7, builtKey), recordFile(world, main, builtKey)),
  },
  {
    row: 'CAC-04',
    name: 'a link to the record of pull request 7 in the place of main’s',
    change: (world) => {
      const [file, evil] = [recordFile(world, main, builtKey), recordFile(world, pr7, builtKey)]
      rmSync(file)
      symlinkSync(evil, file)
    },
  },
  {
    row: 'CAC-02',
    name: 'the layer of an attacker in the place of main’s',
    change: (world) => {
      for (const file of blobFiles(world, goodLayer)) writeFileSync(file, evilLayer)
    },
  },
  {
    row: 'CAC-02',
    name: 'a flipped bit in main’s layer',
    change: (world) => {
      for (const file of blobFiles(world, goodLayer)) writeFileSync(file, flipAt(goodLayer.toString(), 5))
    },
  },
  {
    row: 'CAC-02',
    name: 'main’s layer cut short',
    change: (world) => {
      for (const file of blobFiles(world, goodLayer)) truncateSync(file, 5)
    },
  },
  {
    row: 'CAC-02',
    name: 'main’s layer with bytes behind it',
    change: (world) => {
      for (const file of blobFiles(world, goodLayer))
        writeFileSync(file, Buffer.concat([goodLayer, evilLayer]))
    },
  },
  {
    row: 'CAC-02',
    name: 'main’s layer gone',
    change: (world) => {
      for (const file of blobFiles(world, goodLayer)) rmSync(file)
    },
  },
]

function writeBeside(path: string, bytes: Buffer): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, bytes)
}

/**
 * What somebody does who can write into the storage, and has no key. The server is ended meanwhile: what it holds in memory would
 * hide the change.
 */
export const storageAttempts: readonly Attempt[] = [...records, ...moved].map(({ row, name, change }) => ({
  row,
  name,
  mayMiss: true,
  run: async (world) => {
    change(world)
    await world.restart()
  },
}))
