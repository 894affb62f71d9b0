import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { type FakeRegistryOptions, type Fault, fault, startFakeRegistry } from './testing/index.ts'

const mebibyte = 1024 * 1024
const piece = 8 * mebibyte
/** What may be on the way when a line is cut: buffers of both sides. */
const inFlight = 4 * mebibyte

const big = randomBytes(24 * mebibyte)
const small = randomBytes(100_000)
const descriptorOf = (bytes: Buffer<ArrayBuffer>): Descriptor => ({
  mediaType: mediaTypes.ociLayer,
  digest: digestBytes(bytes),
  size: bytes.length,
})
const described = new Map([big, small].map((bytes) => [bytes, descriptorOf(bytes)]))
const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: descriptorOf(Buffer.from('{}')),
  layers: [],
  annotations: {},
})

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** A push of one blob to a registry that misbehaves, and how it must end. */
interface Script {
  readonly blob?: Buffer<ArrayBuffer>
  readonly registry?: FakeRegistryOptions
  readonly faults?: readonly Fault[]
  /** The code of the error that it ends with. Default: none. */
  readonly code?: string
  /** How many bytes may be sent beyond those of the blob. */
  readonly extra?: number
  /** How many uploads are begun. Default 1. */
  readonly sessions?: number
  /** The pauses between the tries, in milliseconds. */
  readonly pauses?: readonly number[]
}

async function play(script: Script) {
  const blob = script.blob ?? big
  const descriptor = described.get(blob) ?? descriptorOf(blob)
  const registry = await startFakeRegistry(script.registry)
  const pauses: number[] = []
  const sleep = async (ms: number) => void pauses.push(ms)
  const client = createRegistryClient({ sleep, random: () => 1, now: () => 1_700_000_000_000 })
  cleanups.push(() => client.close(), registry.stop)
  registry.fault(...(script.faults ?? []))
  const reference = parseReference(`${registry.host}/app:1`)
  const open = (offset: number) => Readable.from(slices(blob, offset), { objectMode: false })
  const outcome = await client.uploadBlob(reference, descriptor, open).catch((error: unknown) => error)
  expect(outcome).toEqual(
    script.code === undefined ? 'uploaded' : expect.objectContaining({ code: script.code }),
  )
  expect(registry.blobs.has(`app@${descriptor.digest}`)).toBe(script.code === undefined)
  const sent = registry.requests.reduce((sum, { bodyLength }) => sum + bodyLength, 0)
  const sessions = registry.requests.filter(({ method }) => method === 'POST').length
  expect(sent).toBeLessThanOrEqual(blob.length + (script.extra ?? 0))
  if (script.sessions !== undefined) expect(sessions).toBe(script.sessions)
  if (script.pauses !== undefined) expect(pauses).toEqual(script.pauses)
  expect(registry.pendingFaults()).toBe(0)
}

function* slices(bytes: Buffer<ArrayBuffer>, from: number) {
  for (let at = from; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

const patch = { method: 'PATCH' }
const post = { method: 'POST' }
const put = { method: 'PUT' }
const statusGet = { method: 'GET', path: /\/blobs\/uploads\// }
const head = { method: 'HEAD' }
const cut = (bytes: number, which: Partial<Fault> = {}) =>
  fault({ ...patch, ...which }, { type: 'cut-request', after: bytes })
const answer = (which: Partial<Fault>, status: number, headers: Record<string, string> = {}) =>
  fault(which, { type: 'answer', status, headers })

describe('uploadBlob() gets over a burst of errors (REGF-01)', () => {
  const statuses = [408, 429, 499, 500, 502, 503, 504, 522]
  // What may be sent to no avail: a PATCH is tried in parts after the first time, a small blob goes with its PUT.
  const requests = [
    { name: 'HEAD of the blob', which: head, blob: small, extra: 0, sessions: 1 },
    { name: 'POST', which: post, blob: small, extra: 0, sessions: 3 },
    { name: 'PATCH', which: patch, blob: big, extra: big.length + piece, sessions: 3 },
    { name: 'closing PUT', which: put, blob: big, extra: 0, sessions: 1 },
    { name: 'PUT of a small blob', which: put, blob: small, extra: 2 * small.length, sessions: 3 },
  ]
  it.each(statuses.flatMap((status) => requests.map((request) => ({ ...request, status }))))(
    '$status to the $name, twice',
    ({ status, which, blob, extra, sessions }) =>
      play({ blob, faults: [answer({ ...which, times: 2 }, status)], extra, sessions }),
  )

  it.each([
    ['HEAD of the blob', head],
    ['POST', post],
    ['PUT', put],
  ])('and gives up after six answers of 503 to the %s', (_, which) =>
    play({
      blob: small,
      code: 'ERR_REGISTRY_STATUS',
      faults: [answer({ ...which, times: 6 }, 503)],
      extra: 6 * small.length,
      pauses: [500, 1000, 2000, 4000, 8000],
    }),
  )

  it.each([
    ['3', 3000],
    ['3600', 60_000],
    ['1e400', 500],
    ['99999999999999999999999', 60_000],
    [new Date(1_700_000_009_000).toUTCString(), 9000],
    [new Date(1_900_000_000_000).toUTCString(), 60_000],
    [new Date(0).toUTCString(), 0],
  ])('and waits as Retry-After: %s says, a minute at most', (header, expected) =>
    play({
      blob: small,
      faults: [answer(post, 429, { 'retry-after': header })],
      pauses: [expected],
    }),
  )
})

describe('uploadBlob() goes on after a cut (REGF-02, REGF-06)', () => {
  const positions = Array.from({ length: 10 }, (_, index) => Math.floor((index * (big.length - 1)) / 9))

  it.each(positions)('at byte %i, where the registry keeps what came', (bytes) =>
    play({ faults: [cut(bytes)], extra: inFlight, sessions: bytes === 0 ? 2 : 1 }),
  )

  it.each(positions)('at byte %i, where it keeps whole requests only: at most once more', (bytes) =>
    play({
      registry: { uploads: { keeps: 'requests' } },
      faults: [cut(bytes)],
      extra: bytes + inFlight,
      sessions: 2,
    }),
  )

  it.each(positions)('at byte %i, where the upload is thrown away: at most once more', (bytes) =>
    play({
      registry: { uploads: { keeps: 'nothing' } },
      faults: [cut(bytes)],
      extra: bytes + inFlight,
      sessions: 2,
    }),
  )

  it.each([1, 2, 3])('in part %i after a first one: one part of 8 MiB is sent again', (part) =>
    play({
      registry: { uploads: { keeps: 'requests' } },
      // The parts are the requests after the first: each matches once the one before has been hit or has passed.
      faults: [cut(0), cut(piece - 65_536, { after: part - 1 })],
      extra: piece + inFlight,
      sessions: part === 1 ? 3 : 2,
    }),
  )

  it('of the same part, always: gives up after six tries, and has sent no more than the part each time', () =>
    play({
      registry: { uploads: { keeps: 'requests' } },
      faults: [cut(9 * mebibyte), cut(5 * mebibyte, { after: 1, times: 7 })],
      code: 'ERR_REGISTRY_UNREACHABLE',
      // 9 MiB of the whole, the first part, and seven times 5 MiB of the second are 52 MiB.
      extra: 28 * mebibyte + inFlight,
      pauses: [500, 500, 500, 1000, 2000, 4000, 8000],
    }))

  it('of the answer to the last part: nothing is sent again', () =>
    play({ faults: [fault(patch, { type: 'lose-answer' })], extra: 0, sessions: 1 }))

  it('of the answer to the closing PUT: nothing is sent again', () =>
    play({ faults: [fault(put, { type: 'lose-answer' })], extra: 0, sessions: 1 }))

  it('of the answer to the closing PUT of a small blob: nothing is sent again', () =>
    play({ blob: small, faults: [fault(put, { type: 'lose-answer' })], extra: 0, sessions: 1 }))

  it('of the answer to the POST: another upload is begun', () =>
    play({ faults: [fault(post, { type: 'lose-answer' })], extra: 0, sessions: 2 }))

  it('when the registry is not there for a while to say how far it is', () =>
    play({
      faults: [cut(12 * mebibyte), answer({ ...statusGet, times: 2 }, 502)],
      extra: inFlight,
      sessions: 1,
    }))

  it('when the registry never says how far it is', () =>
    play({
      faults: [cut(12 * mebibyte), answer({ ...statusGet, times: 3 }, 500)],
      extra: 12 * mebibyte + inFlight,
      sessions: 2,
    }))
})

describe('uploadBlob() takes registries as they are (REGF-06, REGF-07)', () => {
  it.each(['relative', 'absolute', 'changing'] as const)(
    'with Locations that are %s, in parts',
    (locations) =>
      play({ registry: { locations }, faults: [cut(10 * mebibyte)], extra: inFlight, sessions: 1 }),
  )

  it.each([404, 416])('that lose the upload once, with status %i', (status) =>
    play({
      faults: [fault(patch, { type: 'answer', status, code: 'BLOB_UPLOAD_UNKNOWN' })],
      extra: big.length,
      sessions: 2,
    }),
  )

  it('that lose every upload: begins anew twice, and then says what they said', () =>
    play({
      faults: [fault({ ...patch, times: 3 }, { type: 'answer', status: 404, code: 'BLOB_UPLOAD_UNKNOWN' })],
      code: 'ERR_REGISTRY_STATUS',
      extra: 2 * big.length,
      sessions: 3,
    }))

  it('that say 416 and another offset: goes on there', () =>
    play({
      faults: [cut(10 * mebibyte), fault(patch, { type: 'answer', status: 416, code: 'RANGE_INVALID' })],
      registry: { uploads: { keeps: 'bytes' } },
      extra: piece + inFlight + big.length,
    }))

  it('that keep whole bodies only below a limit (413): sends parts', () =>
    play({
      registry: { uploads: { maxBodyBytes: 10 * mebibyte } },
      extra: inFlight,
      sessions: 2,
    }))

  it('that want bodies of 1 MiB, as nginx does by default', () =>
    play({ registry: { uploads: { maxBodyBytes: mebibyte } }, extra: inFlight, sessions: 4 }))

  it('that want less still: says so', () =>
    play({
      registry: { uploads: { maxBodyBytes: mebibyte - 1 } },
      code: 'ERR_REGISTRY_STATUS',
      extra: 0,
    }))

  it('that take no part above 4 MiB, after a cut, as GHCR', () =>
    play({
      registry: { uploads: { keeps: 'requests', maxPieceBytes: 4 * mebibyte } },
      faults: [cut(12 * mebibyte)],
      extra: 12 * mebibyte + piece + inFlight,
      sessions: 3,
    }))

  it('that take no part below 5 MiB and leave the count where it was, after a cut, as ECR', () =>
    play({
      registry: { uploads: { keeps: 'requests', minPieceBytes: 5 * mebibyte, staleRange: true } },
      faults: [cut(12 * mebibyte)],
      extra: 12 * mebibyte + inFlight,
      sessions: 2,
    }))

  it.each([400, 405, 501])(
    'that take no parts at all (%i): sends the blob whole again after a cut',
    (pieces) =>
      play({
        registry: { uploads: { keeps: 'requests', pieces } },
        faults: [cut(12 * mebibyte)],
        extra: 12 * mebibyte + piece + inFlight,
        sessions: 3,
      }),
  )

  it('sends parts as large as they want them at least', () =>
    play({
      registry: { uploads: { keeps: 'requests', minPieceBytes: 10 * mebibyte } },
      faults: [cut(12 * mebibyte)],
      extra: 12 * mebibyte + inFlight,
      sessions: 2,
    }))

  it('has no Content-Range on a body with the whole blob', async () => {
    const seen: (string | undefined)[] = []
    await play({
      faults: [
        {
          ...patch,
          act: ({ request, next }) => {
            seen.push(request.headers['content-range'])
            return next()
          },
        },
      ],
      extra: 0,
      sessions: 1,
    })
    expect(seen).toEqual([undefined])
  })
})

describe('uploadBlob() with tokens that end (REGF-05)', () => {
  const users = { type: 'bearer' } as const

  it.each([
    ['the POST', post],
    ['the first PATCH', patch],
    ['a later PATCH', { ...patch, after: 1 }],
    ['the closing PUT', put],
  ])('gets a new one at %s and goes on', async (_, which) => {
    const tokens = new Set<string>()
    const expire: Fault = {
      ...which,
      act: ({ next }) => {
        tokens.clear()
        return next()
      },
    }
    const cuts = which !== patch && 'after' in which ? [cut(9 * mebibyte)] : []
    await play({
      registry: { access: { ...users, tokens } },
      faults: [...cuts, expire],
      extra: inFlight + (which === patch ? big.length : piece),
    })
  })

  it.each([undefined, 1, 30, 0, -5])('which live for %s seconds, as they say', async (expiresIn) => {
    const tokens = new Set<string>()
    await play({ registry: { access: { ...users, tokens, expiresIn } }, extra: 0, sessions: 1 })
  })

  it('gives up where every new one is refused as well', () =>
    play({
      blob: small,
      registry: {},
      faults: [fault({ ...head, times: 1 }, { type: 'answer', status: 401 })],
      code: 'ERR_REGISTRY_AUTH',
    }))
})

describe('putManifest() under faults', () => {
  const send = async (...faults: Fault[]) => {
    const registry = await startFakeRegistry()
    const client = createRegistryClient({ sleep: async () => undefined })
    cleanups.push(() => client.close(), registry.stop)
    registry.fault(...faults)
    const reference = parseReference(`${registry.host}/app:1`)
    const outcome = client.putManifest(reference, manifest, mediaTypes.ociManifest)
    return { registry, outcome, reference, client }
  }

  it.each([429, 499, 500, 502, 503, 504, 522])('gets over a %i (REGF-01)', async (status) => {
    const { outcome, registry } = await send(answer(put, status))
    await outcome
    expect(registry.manifests.get('app:1')?.bytes.equals(manifest)).toBe(true)
  })

  it('sends it again when the answer was lost: it is the same then (REGF-06)', async () => {
    const { outcome, registry } = await send(fault(put, { type: 'lose-answer' }))
    await outcome
    expect(registry.requests).toHaveLength(2)
  })

  it.each([
    [400, 'MANIFEST_INVALID'],
    [413, 'SIZE_INVALID'],
    [404, 'NAME_UNKNOWN'],
  ])('hands on a %i with its code, after one try (REGF-09)', async (status, code) => {
    const { outcome, registry } = await send(fault({ ...put, times: 1 }, { type: 'answer', status, code }))
    await expect(outcome).rejects.toMatchObject({
      code: 'ERR_REGISTRY_STATUS',
      details: { status, codes: [code] },
    })
    expect(registry.requests).toHaveLength(1)
  })

  it('leaves the tag at one of two manifests that are pushed at a time (REGF-11)', async () => {
    const { outcome, registry, client, reference } = await send()
    const other = serializeManifest({
      mediaType: mediaTypes.ociManifest,
      config: descriptorOf(Buffer.from('{"a":1}')),
      layers: [],
      annotations: {},
    })
    const pushed = await Promise.all([
      outcome,
      ...Array.from({ length: 20 }, (_, at) =>
        client.putManifest(reference, at % 2 === 0 ? other : manifest, mediaTypes.ociManifest),
      ),
    ])
    const { descriptor } = await client.resolve(reference)
    expect(pushed.map(({ digest }) => digest)).toContain(descriptor.digest)
    for (const bytes of [manifest, other])
      expect(registry.manifests.get(`app@${digestBytes(bytes)}`)?.bytes.equals(bytes)).toBe(true)
  })
})
