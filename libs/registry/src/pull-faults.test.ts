import { randomBytes } from 'node:crypto'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import {
  type Answer,
  type FakeRegistryOptions,
  type Fault,
  fault,
  memorySink,
  startFakeRegistry,
} from './testing/index.ts'
import type { RegistryClientOptions } from './types.ts'

const layer = randomBytes(600_000)
const descriptor: Descriptor = {
  mediaType: mediaTypes.ociLayer,
  digest: digestBytes(layer),
  size: layer.length,
}
const manifestOf = (name: string) =>
  serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: { ...descriptor, mediaType: mediaTypes.ociConfig },
    layers: [descriptor],
    annotations: { name },
  })

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function setUp(faults: readonly Fault[], options: RegistryClientOptions = {}, registryOptions = {}) {
  const registry = await startFakeRegistry(registryOptions)
  const pauses: number[] = []
  const sleep = async (ms: number) => void pauses.push(ms)
  const client = createRegistryClient({ sleep, random: () => 1, now: () => 1_700_000_000_000, ...options })
  cleanups.push(() => client.close(), registry.stop)
  registry.blobs.set(`app@${descriptor.digest}`, layer)
  const moved = { bytes: manifestOf('old'), mediaType: mediaTypes.ociManifest }
  registry.manifests.set('app:1', moved)
  registry.manifests.set(`app@${digestBytes(moved.bytes)}`, moved)
  registry.fault(...faults)
  return { registry, client, pauses, reference: parseReference(`${registry.host}/app:1`) }
}

/** A pull of one blob from a registry that misbehaves, and how it must end. */
interface Script {
  readonly registry?: FakeRegistryOptions
  readonly client?: RegistryClientOptions
  readonly faults: readonly Fault[]
  /** The code of the error that it ends with. Default: none. */
  readonly code?: string
  readonly requests?: number
  readonly pauses?: readonly number[]
  /** How many bytes may come beyond those of the blob. Default: as many again. */
  readonly extra?: number
}

async function play(script: Script) {
  const { registry, client, pauses, reference } = await setUp(script.faults, script.client, script.registry)
  const sink = memorySink()
  const outcome = await client
    .downloadBlob(reference, descriptor, sink)
    .then(() => 'there')
    .catch((error: unknown) => error)
  expect(outcome).toEqual(
    script.code === undefined ? 'there' : expect.objectContaining({ code: script.code }),
  )
  if (script.code === undefined) expect(sink.bytes().equals(layer)).toBe(true)
  if (script.requests !== undefined) expect(registry.requests).toHaveLength(script.requests)
  if (script.pauses !== undefined) expect(pauses).toEqual(script.pauses)
  const came = registry.requests.reduce((sum, { answerLength }) => sum + answerLength, 0)
  expect(came).toBeLessThanOrEqual(layer.length + (script.extra ?? layer.length))
  expect(registry.pendingFaults()).toBe(0)
}

const get = { method: 'GET', path: /\/blobs\// }
const answer = (times: number, status: number, headers: Record<string, string> = {}) =>
  fault({ ...get, times }, { type: 'answer', status, headers })
const cut = (after: number, how: 'close' | 'reset' | 'chunked', which: Partial<Fault> = {}) =>
  fault({ ...get, ...which }, { type: 'cut-answer', after, how })
const change = (to: (answer: Answer) => Answer, times = 1) =>
  fault({ ...get, times }, { type: 'change', change: to })

describe('downloadBlob() gets over a burst of errors (REGF-01)', () => {
  it.each([408, 429, 499, 500, 502, 503, 504, 522])('of %i, five times', (status) =>
    play({ faults: [answer(5, status)], requests: 6, pauses: [500, 1000, 2000, 4000, 8000], extra: 0 }),
  )

  it('and gives up after the sixth', () =>
    play({ faults: [answer(6, 503)], code: 'ERR_REGISTRY_STATUS', requests: 6 }))

  it.each([400, 403, 404, 410, 451])('and takes %i for an answer', (status) =>
    play({
      faults: [answer(1, status)],
      code: status === 404 ? 'ERR_IMAGE_NOT_FOUND' : expect.stringMatching(/ERR_REGISTRY_(AUTH|STATUS)/),
      requests: 1,
    }),
  )

  it.each([
    [0, 250],
    [0.5, 375],
    [1, 500],
  ])('with pauses of which half is chance: %d', (random, first) =>
    play({ client: { random: () => random }, faults: [answer(1, 503)], pauses: [first] }),
  )

  it.each([
    ['5', 5000],
    ['61', 60_000],
    [new Date(1_700_000_003_000).toUTCString(), 3000],
    ['never', 500],
  ])('and waits as Retry-After: %s says, a minute at most', (header, expected) =>
    play({ faults: [answer(1, 503, { 'retry-after': header })], pauses: [expected] }),
  )
})

describe('downloadBlob() goes on after a cut (REGF-02)', () => {
  const positions = Array.from({ length: 20 }, (_, index) => Math.floor((index * (layer.length - 1)) / 19))

  it.each(positions)('by a reset, at byte %i', (bytes) =>
    play({ faults: [cut(bytes, 'reset')], requests: 2 }),
  )

  it.each(positions)('of a chunked answer, at byte %i', (bytes) =>
    play({ faults: [cut(bytes, 'chunked')], requests: 2 }),
  )

  it.each(positions)('at byte %i, from a registry that then sends the whole', (bytes) =>
    play({
      faults: [
        cut(bytes, 'close'),
        change(() => ({ status: 200, headers: { 'content-length': String(layer.length) }, body: layer })),
      ],
      requests: 2,
    }),
  )

  it('at the end of the headers, by an answer that is announced too short', () =>
    play({
      faults: [
        change(({ status, body }) => ({
          status,
          headers: { 'content-length': '1000' },
          body: body.subarray(0, 1000),
        })),
      ],
      requests: 2,
    }))

  it.each([
    ['another beginning', `bytes 0-${layer.length - 1}/${layer.length}`],
    ['another size', `bytes 300000-${layer.length - 1}/${layer.length + 1}`],
    ['none', undefined],
  ])('and refuses a range with %s', (_, range) =>
    play({
      faults: [
        cut(300_000, 'close'),
        change(
          ({ body }) => ({
            status: 206,
            headers: range === undefined ? {} : { 'content-range': range },
            body,
          }),
          2,
        ),
      ],
      code: 'ERR_REGISTRY_RESPONSE',
    }),
  )

  it('and asks for the whole where a part is refused with 416', () =>
    play({ faults: [cut(300_000, 'close'), answer(1, 416)], requests: 3 }))

  it('ten times, as long as each brought something', () =>
    play({
      client: { retry: { attempts: 2 } },
      faults: [cut(40_000, 'reset', { times: 10 })],
      requests: 11,
    }))
})

describe('downloadBlob() with wrong bytes (REGF-03)', () => {
  const wrong = ({ status, headers, body }: Answer) => ({
    status,
    headers,
    body: Buffer.alloc(body.length, 7),
  })

  it('asks once more and is content with right ones', () => play({ faults: [change(wrong)], requests: 2 }))

  it('and refuses them the second time', () =>
    play({ faults: [change(wrong, 2)], code: 'ERR_DIGEST_MISMATCH', requests: 2 }))

  it.each([
    ['longer than announced in the manifest', (body: Buffer) => Buffer.concat([body, body])],
    ['one byte too long', (body: Buffer) => Buffer.concat([body, Buffer.from('x')])],
  ])('refuses those that are %s', (_, longer) =>
    play({
      faults: [change(({ status, body }) => ({ status, headers: {}, body: longer(body) }), 2)],
      code: 'ERR_SIZE_MISMATCH',
      requests: 2,
      extra: 3 * layer.length + 2,
    }),
  )

  it.each([digestBytes('other'), undefined, 'nonsense'])(
    'takes right ones whatever Docker-Content-Digest says: %s',
    (digest) =>
      play({
        faults: [
          change(({ status, headers, body }) => ({
            status,
            headers: { ...headers, ...(digest === undefined ? {} : { 'docker-content-digest': digest }) },
            body,
          })),
        ],
        requests: 1,
        extra: 0,
      }),
  )

  it('throws away what was wrong from a part on: the whole is fetched again', () =>
    play({ faults: [cut(300_000, 'close'), change(wrong)], requests: 3 }))
})

describe('resolve() under faults', () => {
  const manifests = { path: /\/manifests\// }
  const change = (to: (answer: Answer) => Answer, times = 1) =>
    fault({ ...manifests, times }, { type: 'change', change: to })

  it.each([10, 100, 200])('asks again where the answer is cut after %i bytes (REGF-02)', async (after) => {
    const { client, reference } = await setUp([
      fault(manifests, { type: 'cut-answer', after, how: 'close' }),
      fault(manifests, { type: 'cut-answer', after, how: 'reset' }),
    ])
    expect((await client.resolve(reference)).bytes.equals(manifestOf('old'))).toBe(true)
  })

  it('asks once more where the digest is wrong, and gives up the second time (REGF-03)', async () => {
    const other = ({ status, headers, body }: Answer): Answer => ({
      status,
      headers: { ...headers, 'docker-content-digest': digestBytes('other') },
      body,
    })
    const once = await setUp([change(other)])
    expect((await once.client.resolve(once.reference)).descriptor.digest).toBe(digestBytes(manifestOf('old')))
    const twice = await setUp([change(other, 2)])
    await expect(twice.client.resolve(twice.reference)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
  })

  it('gives one image while its tag moves: what follows is asked for by digest (REGF-11)', async () => {
    const { registry, client, reference } = await setUp([])
    const moved = { bytes: manifestOf('new'), mediaType: mediaTypes.ociManifest }
    const [old, fresh] = [digestBytes(manifestOf('old')), digestBytes(moved.bytes)]
    for (let round = 0; round < 20; round++) {
      const resolving = client.resolve(reference)
      registry.manifests.set('app:1', round % 2 === 0 ? moved : { ...moved, bytes: manifestOf('old') })
      const { descriptor: found, bytes } = await resolving
      expect([old, fresh]).toContain(found.digest)
      expect(digestBytes(bytes)).toBe(found.digest)
    }
    const pinned = { ...reference, digest: old }
    expect((await client.resolve(pinned)).bytes.equals(manifestOf('old'))).toBe(true)
  })

  it('says that a blob is gone whose HEAD was answered (REGF-08)', async () => {
    const { client, reference } = await setUp([answer(1, 404)])
    expect(await client.hasBlob(reference, descriptor)).toBe(true)
    await expect(client.downloadBlob(reference, descriptor, memorySink())).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
    })
  })
})
