import { randomBytes } from 'node:crypto'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import {
  type FakeRegistry,
  type Fault,
  memorySink,
  reply,
  replyError,
  startFakeRegistry,
} from './testing/index.ts'
import type { RegistryClient, RegistryClientOptions } from './types.ts'

const layer = randomBytes(300_000)
const descriptor: Descriptor = {
  mediaType: mediaTypes.ociLayer,
  digest: digestBytes(layer),
  size: layer.length,
}
const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: { ...descriptor, mediaType: mediaTypes.ociConfig },
  layers: [descriptor],
  annotations: {},
})
const blobPath = /\/blobs\/sha256/
const manifestPath = /\/manifests\//

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function setUp(options: RegistryClientOptions = {}, ...faults: Fault[]) {
  const registry: FakeRegistry = await startFakeRegistry()
  const pauses: number[] = []
  const sleep = async (ms: number) => {
    pauses.push(ms)
  }
  const client: RegistryClient = createRegistryClient({ sleep, random: () => 1, ...options })
  cleanups.push(() => client.close(), registry.stop)
  const reference = parseReference(`${registry.host}/app:1`)
  registry.blobs.set(`app@${descriptor.digest}`, layer)
  registry.manifests.set('app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  registry.fault(...faults)
  const download = async () => {
    const sink = memorySink()
    await client.downloadBlob(reference, descriptor, sink)
    return sink
  }
  return { registry, client, reference, pauses, download }
}

/** Announces all and sends a part; then the line is cut, or nothing more happens. */
const sendPart = (bytes: number, then: 'cut' | 'silence'): Fault => ({
  path: blobPath,
  act: ({ request, response }) => {
    const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0])
    const rest = layer.subarray(start)
    const headers: Record<string, string> = { 'content-length': String(rest.length) }
    if (start > 0) headers['content-range'] = `bytes ${start}-${layer.length - 1}/${layer.length}`
    response.writeHead(start > 0 ? 206 : 200, headers)
    response.write(rest.subarray(0, bytes), () => then === 'cut' && response.destroy())
  },
})
const cutAt = (bytes: number) => sendPart(bytes, 'cut')

describe('downloadBlob()', () => {
  it.each(Array.from({ length: 20 }, (_, index) => Math.floor((index * (layer.length - 1)) / 19)))(
    'goes on where the connection was cut, after %i bytes (REGF-02)',
    async (bytes) => {
      const { registry, download } = await setUp({}, cutAt(bytes))
      const sink = await download()
      expect(sink.bytes().equals(layer)).toBe(true)
      expect(sink.written()).toBe(layer.length)
      const [first, second] = registry.requests
      expect(first?.range).toBeUndefined()
      expect(registry.requests).toHaveLength(2)
      const resumedAt = second?.range === undefined ? 0 : Number(/\d+/.exec(second.range)?.[0])
      expect(resumedAt).toBeLessThanOrEqual(bytes)
    },
  )

  it('survives more cuts than it has tries as long as each brings something', async () => {
    const cuts = Array.from({ length: 10 }, () => cutAt(20_000))
    const { registry, download } = await setUp({ retry: { attempts: 2 } }, ...cuts)
    expect((await download()).bytes().equals(layer)).toBe(true)
    expect(registry.pendingFaults()).toBe(0)
  })

  it('takes a whole answer to a request for the rest', async () => {
    const whole: Fault = {
      path: blobPath,
      act: ({ response }) => reply(response, 200, { 'content-length': String(layer.length) }, layer),
    }
    const { registry, download } = await setUp({}, cutAt(100_000), whole)
    const sink = await download()
    expect(sink.bytes().equals(layer)).toBe(true)
    expect(sink.written()).toBe(layer.length)
    expect(registry.pendingFaults()).toBe(0)
  })

  it('refuses another range than it asked for', async () => {
    const other: Fault = {
      path: blobPath,
      times: 5,
      act: ({ response }) => {
        const range = `bytes 0-${layer.length - 1}/${layer.length}`
        reply(response, 206, { 'content-range': range }, layer)
      },
    }
    const { download } = await setUp({}, cutAt(100_000), other)
    await expect(download()).rejects.toMatchObject({ code: 'ERR_REGISTRY_RESPONSE' })
  })

  it.each([
    ['chunked and too long', Buffer.concat([layer, layer]), {}, 'ERR_SIZE_MISMATCH'],
    ['announced too long', layer, { 'content-length': String(layer.length + 1) }, 'ERR_SIZE_MISMATCH'],
    ['of the right length and wrong', Buffer.alloc(layer.length), {}, 'ERR_DIGEST_MISMATCH'],
  ])('tries once more and then refuses a body that is %s (REGF-03)', async (_, bytes, headers, code) => {
    const wrong: Fault = {
      path: blobPath,
      times: 10,
      act: ({ response }) => {
        response.writeHead(200, headers)
        response.end(bytes)
      },
    }
    const { registry, download } = await setUp({}, wrong)
    await expect(download()).rejects.toMatchObject({ code })
    expect(registry.requests).toHaveLength(2)
  })

  it('gets over wrong bytes that come once', async () => {
    const wrong: Fault = {
      path: blobPath,
      act: ({ response }) => reply(response, 200, {}, Buffer.alloc(layer.length)),
    }
    const { download } = await setUp({}, wrong)
    expect((await download()).bytes().equals(layer)).toBe(true)
  })

  it.each([
    ['never answers', () => undefined],
    [
      'stops in the middle of a body',
      ({ response }: Parameters<Fault['act']>[0]) => {
        response.writeHead(200, { 'content-length': String(layer.length) })
        response.write(layer.subarray(0, 1000))
      },
    ],
  ])('leaves a server that %s and asks again (REGF-04)', async (_, act) => {
    const timeouts = { headersMs: 1000, bodyMs: 1000 }
    const { registry, download } = await setUp({ timeouts }, { path: blobPath, act })
    expect((await download()).bytes().equals(layer)).toBe(true)
    expect(registry.requests).toHaveLength(2)
  })

  it('leaves a server that sends byte by byte, in a bounded time (REGF-04)', async () => {
    let now = 0
    const drip: Fault = { ...sendPart(1, 'silence'), times: 20 }
    const later = () => {
      now += 31_000
      return now
    }
    const { registry, download } = await setUp({ now: later }, drip)
    await expect(download()).rejects.toMatchObject({ code: 'ERR_REGISTRY_UNREACHABLE' })
    expect(registry.requests).toHaveLength(6)
  })

  it.each([
    ['says that a layer is encoded with gzip', { 'content-encoding': 'gzip' }],
    ['ends its answers by closing the connection', { connection: 'close' }],
  ])('takes the bytes of a server that %s (REGF-10)', async (_, headers) => {
    const odd: Fault = {
      path: blobPath,
      act: ({ response }) => {
        response.useChunkedEncodingByDefault = false
        response.writeHead(200, headers)
        response.end(layer)
      },
    }
    const { download } = await setUp({}, odd)
    expect((await download()).bytes().equals(layer)).toBe(true)
  })

  it('rejects at once when its signal fires while the server is silent', async () => {
    const controller = new AbortController()
    const silent: Fault = { path: blobPath, act: () => controller.abort() }
    const { client, reference } = await setUp({}, silent)
    const outcome = client.downloadBlob(reference, descriptor, memorySink(), { signal: controller.signal })
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })

  it('rejects with the error of the sink, and asks no second time', async () => {
    const { registry, client, reference } = await setUp()
    const full = { write: async () => Promise.reject(new Error('no space')) }
    await expect(client.downloadBlob(reference, descriptor, full)).rejects.toThrow('no space')
    expect(registry.requests).toHaveLength(1)
  })

  it('tells how far it is, and that it is done', async () => {
    const { client, reference } = await setUp({}, cutAt(50_000))
    const told: number[] = []
    await client.downloadBlob(reference, descriptor, memorySink(), {
      onProgress: (bytes) => told.push(bytes),
    })
    expect(told).toEqual([...told].sort((a, b) => a - b))
    expect(told.at(-1)).toBe(layer.length)
  })

  it('says which blob the registry does not have', async () => {
    const { registry, download } = await setUp()
    registry.blobs.clear()
    await expect(download()).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: expect.stringContaining(descriptor.digest),
    })
  })
})

describe('retries', () => {
  const answer = (status: number, headers: Record<string, string> = {}, times = 1): Fault => ({
    times,
    act: ({ response }) => reply(response, status, headers),
  })

  it.each([408, 429, 500, 502, 503, 504, 522])(
    'resolve() gets over five answers of %i (REGF-01)',
    async (status) => {
      const { client, reference, pauses } = await setUp({}, answer(status, {}, 5))
      expect((await client.resolve(reference)).bytes.equals(manifest)).toBe(true)
      expect(pauses).toEqual([500, 1000, 2000, 4000, 8000])
    },
  )

  it('resolve() gives up after six', async () => {
    const { registry, client, reference } = await setUp({}, answer(503, {}, 10))
    await expect(client.resolve(reference)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_STATUS',
      details: { status: 503 },
    })
    expect(registry.requests).toHaveLength(6)
  })

  it('resolve() takes an error of the caller for an answer', async () => {
    const { registry, client, reference } = await setUp({}, answer(400, {}, 10))
    await expect(client.resolve(reference)).rejects.toMatchObject({ code: 'ERR_REGISTRY_STATUS' })
    expect(registry.requests).toHaveLength(1)
  })

  it.each([
    ['2', 2000],
    ['0', 0],
    ['86400', 60_000],
    ['99999999999999999999', 60_000],
    [new Date(1_700_000_007_000).toUTCString(), 7000],
    [new Date(0).toUTCString(), 0],
    ['soon', 500],
    ['-5', 500],
  ])('resolve() obeys Retry-After: %s up to a minute', async (header, expected) => {
    const { client, reference, pauses } = await setUp(
      { now: () => 1_700_000_000_000 },
      answer(429, { 'retry-after': header }),
    )
    await client.resolve(reference)
    expect(pauses).toEqual([expected])
  })

  it('resolve() asks a throttling registry with half as many requests at a time', async () => {
    let open = 0
    let most = 0
    const busy: Fault = {
      path: manifestPath,
      times: 12,
      act: async ({ next }) => {
        most = Math.max(most, ++open)
        await new Promise((resolve) => setImmediate(resolve))
        open--
        await next()
      },
    }
    const { client, reference } = await setUp({ concurrency: 4 }, answer(429), busy)
    await client.resolve(reference)
    await Promise.all(Array.from({ length: 11 }, () => client.resolve(reference)))
    expect(most).toBeLessThanOrEqual(2)
  })

  it('resolve() calls a registry that is not there unreachable, after three tries', async () => {
    const { registry, client, reference, pauses } = await setUp()
    await registry.stop()
    cleanups.pop()
    await expect(client.resolve(reference)).rejects.toMatchObject({ code: 'ERR_REGISTRY_UNREACHABLE' })
    expect(pauses).toHaveLength(2)
  })

  it('resolve() does not ask for a name that does not exist again', async () => {
    const lookup = (_name: string, _options: unknown, callback: (error: Error, address: string) => void) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), '')
    const pauses: number[] = []
    const client = createRegistryClient({ lookup, sleep: async (ms) => void pauses.push(ms) })
    const outcome = client.resolve(parseReference('registry.invalid/app:1'))
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_REGISTRY_UNREACHABLE' })
    expect(pauses).toEqual([])
    await client.close()
  })
})

describe('resolve()', () => {
  const give = (bytes: Buffer, headers: Record<string, string>): Fault => ({
    path: manifestPath,
    times: 10,
    act: ({ response }) => reply(response, 200, headers, bytes),
  })
  const type = { 'content-type': mediaTypes.ociManifest }

  it('takes a manifest without a Docker-Content-Digest', async () => {
    const { client, reference } = await setUp({}, give(manifest, type))
    expect((await client.resolve(reference)).descriptor.digest).toBe(digestBytes(manifest))
    expect((await client.resolveDescriptor(reference))?.digest).toBe(digestBytes(manifest))
  })

  it.each([
    [
      'another digest in its header',
      manifest,
      { ...type, 'docker-content-digest': digestBytes('x') },
      'ERR_DIGEST_MISMATCH',
    ],
    ['no manifest', Buffer.from('<html>'), type, 'ERR_MANIFEST_INVALID'],
    [
      'a manifest that is announced as an index',
      manifest,
      { 'content-type': mediaTypes.ociIndex },
      'ERR_MANIFEST_INVALID',
    ],
    ['more than 4 MiB', Buffer.alloc(4 * 1024 * 1024 + 1, ' '), type, 'ERR_REGISTRY_RESPONSE'],
  ])('refuses %s', async (_, bytes, headers, code) => {
    const { client, reference } = await setUp({}, give(bytes, headers))
    await expect(client.resolve(reference)).rejects.toMatchObject({ code })
  })

  it('refuses other bytes than those of the wanted digest', async () => {
    const { client, reference } = await setUp({}, give(Buffer.concat([manifest, Buffer.from(' ')]), type))
    const pinned = { ...reference, digest: digestBytes(manifest) }
    await expect(client.resolve(pinned)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
  })

  it('takes the error text of the registry for text: one line, no terminal control', async () => {
    const rude: Fault = {
      act: ({ response }) =>
        replyError(response, 403, 'DENIED', `\u001b[2Jgo away\n\nnow ${'x'.repeat(1000)}`),
    }
    const { client, reference } = await setUp({}, rude)
    const error: Error = await client.resolve(reference).then(
      () => new Error('resolved'),
      (reason) => reason,
    )
    expect(error).toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
      message: expect.stringContaining('DENIED: [2Jgo away now'),
    })
    expect(error.message.length).toBeLessThan(600)
  })
})
