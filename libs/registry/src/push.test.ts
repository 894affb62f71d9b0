import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import {
  type FakeRegistryOptions,
  type Fault,
  reply,
  replyError,
  startFakeRegistry,
} from './testing/index.ts'

const layer = randomBytes(2 * 1024 * 1024)
const descriptor: Descriptor = {
  mediaType: mediaTypes.ociLayer,
  digest: digestBytes(layer),
  size: layer.length,
}
const openLayer = (offset: number) =>
  Readable.from(
    (function* () {
      for (let at = offset; at < layer.length; at += 65_536) yield layer.subarray(at, at + 65_536)
    })(),
    { objectMode: false },
  )

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function setUp(options: FakeRegistryOptions = {}, ...faults: Fault[]) {
  const registry = await startFakeRegistry(options)
  const client = createRegistryClient({ sleep: async () => undefined })
  cleanups.push(() => client.close(), registry.stop)
  registry.fault(...faults)
  const reference = parseReference(`${registry.host}/app:1`)
  const upload = () => client.uploadBlob(reference, descriptor, openLayer)
  const stored = () => registry.blobs.get(`app@${descriptor.digest}`)?.equals(layer)
  const sent = () => registry.requests.reduce((sum, request) => sum + request.bodyLength, 0)
  return { registry, client, reference, upload, stored, sent }
}

/** Lets the registry take a part and then cuts the line. */
const cutAfter = (bytes: number): Fault => ({
  method: 'PATCH',
  act: async ({ request, next }) => {
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length >= bytes) request.destroy()
    })
    await next().catch(() => undefined)
  },
})

describe('uploadBlob()', () => {
  it.each(['relative', 'absolute', 'changing'] as const)(
    'obeys Locations that are %s (REGF-07)',
    async (locations) => {
      const { upload, stored, sent } = await setUp({ locations })
      expect(await upload()).toBe('uploaded')
      expect(stored()).toBe(true)
      expect(sent()).toBe(layer.length)
    },
  )

  it('sends nothing the second time', async () => {
    const { registry, upload, sent } = await setUp()
    await upload()
    const before = registry.requests.length
    expect(await upload()).toBe('exists')
    expect(registry.requests.slice(before).map((request) => request.method)).toEqual(['HEAD'])
    expect(sent()).toBe(layer.length)
  })

  it('does not ask for a blob that is said to be missing, which may be there by now all the same', async () => {
    const { registry, client, reference, stored } = await setUp()
    const options = { isMissing: true }
    for (const _ of ['missing', 'there by now'])
      expect(await client.uploadBlob(reference, descriptor, openLayer, options)).toBe('uploaded')
    expect(registry.requests.filter(({ method }) => method === 'HEAD')).toEqual([])
    expect(stored()).toBe(true)
  })

  it('mounts the blob from another repository, and sends it where that does not work (REGF-08)', async () => {
    const { registry, client, reference, sent } = await setUp()
    registry.blobs.set(`base@${descriptor.digest}`, layer)
    const mountFrom = ['elsewhere', 'base']
    expect(await client.uploadBlob(reference, descriptor, openLayer, { mountFrom })).toBe('mounted')
    expect(sent()).toBe(0)
    const other = { ...reference, repository: 'other' }
    expect(await client.uploadBlob(other, descriptor, openLayer, { mountFrom: ['elsewhere'] })).toBe(
      'uploaded',
    )
    const asked = registry.requests.filter(
      ({ method, path }) => method === 'POST' && path.includes('/other/'),
    )
    // The 202 to the wish for a mount begins an upload, and no other is begun.
    expect(asked).toHaveLength(1)
  })

  it.each([100_000, 700_000, 1_900_000])(
    'goes on where the registry stopped, after %i bytes (REGF-06)',
    async (bytes) => {
      const { registry, upload, stored, sent } = await setUp({}, cutAfter(bytes))
      expect(await upload()).toBe('uploaded')
      expect(stored()).toBe(true)
      expect(registry.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
      expect(sent()).toBeLessThanOrEqual(layer.length + 1)
    },
  )

  it('begins anew where the session is lost, and at most twice', async () => {
    const lost: Fault = {
      method: 'PATCH',
      act: async ({ body, response }) => {
        await body()
        replyError(response, 404, 'BLOB_UPLOAD_UNKNOWN')
      },
    }
    const once = await setUp({}, lost)
    expect(await once.upload()).toBe('uploaded')
    expect(once.stored()).toBe(true)
    const always = await setUp({}, { ...lost, times: 10 })
    await expect(always.upload()).rejects.toMatchObject({ code: 'ERR_REGISTRY_STATUS' })
    expect(always.registry.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(3)
  })

  it('ends when a registry loses every upload just before its end', async () => {
    const { registry, upload } = await setUp(
      {},
      { method: 'PUT', times: 99, act: ({ response }) => reply(response, 503) },
    )
    registry.fault({ method: 'GET', times: 99, act: ({ response }) => reply(response, 404) })
    await expect(upload()).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_REGISTRY_/) })
    expect(registry.requests.filter(({ method }) => method === 'POST').length).toBeLessThanOrEqual(6)
  })

  it('gives the query of a Location back as it came', async () => {
    const query = '_state=a~b%2Bc%20d&e'
    const post: Fault = {
      method: 'POST',
      act: ({ response }) => reply(response, 202, { location: `/v2/app/blobs/uploads/1?${query}` }),
    }
    const put: Fault = { method: 'PUT', act: ({ response }) => reply(response, 201) }
    const { registry, client, reference } = await setUp({}, post, put)
    const small = Buffer.from('{}')
    const blob = { ...descriptor, digest: digestBytes(small), size: 2 }
    await client.uploadBlob(reference, blob, () => Readable.from([small]))
    expect(registry.requests.at(-1)?.path).toBe(
      `/v2/app/blobs/uploads/1?${query}&digest=${encodeURIComponent(blob.digest)}`,
    )
  })

  it('believes the registry that it has the blob when only the last answer was lost', async () => {
    const mute: Fault = {
      method: 'PUT',
      act: async ({ response, next }) => {
        response.end = () => response.destroy()
        await next()
      },
    }
    const { registry, upload, stored, sent } = await setUp({}, mute)
    expect(await upload()).toBe('uploaded')
    expect(stored()).toBe(true)
    expect(sent()).toBe(layer.length)
    expect(registry.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1)
  })

  it('goes on from where a registry says that it took less', async () => {
    const partial: Fault = {
      method: 'PATCH',
      act: async ({ body, request, response }) => {
        await body()
        reply(response, 202, { location: request.url ?? '', range: '0-0' })
      },
    }
    const { upload, stored } = await setUp({}, partial)
    expect(await upload()).toBe('uploaded')
    expect(stored()).toBe(true)
  })

  it('sends a small blob in one request', async () => {
    const { registry, client, reference } = await setUp()
    const small = Buffer.from('{}')
    const blob = { ...descriptor, digest: digestBytes(small), size: 2 }
    await client.uploadBlob(reference, blob, () => Readable.from([small]))
    expect(registry.requests.map(({ method, bodyLength }) => `${method} ${bodyLength}`)).toEqual([
      'HEAD 0',
      'POST 0',
      'PUT 2',
    ])
  })

  it('rejects with the error of the file, and does not try again', async () => {
    const { registry, client, reference } = await setUp()
    const open = () => createReadStream('/nonexistent/blob')
    await expect(client.uploadBlob(reference, descriptor, open)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(registry.requests.filter(({ method }) => method === 'PATCH').length).toBeLessThanOrEqual(1)
  })

  it.each([
    ['shorter', layer.subarray(1)],
    ['longer', Buffer.concat([layer, layer])],
  ])('refuses a file that is %s than its descriptor says', async (_, bytes) => {
    const { registry, client, reference } = await setUp()
    const outcome = client.uploadBlob(reference, descriptor, () => Readable.from([bytes]))
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_SIZE_MISMATCH' })
    expect(registry.blobs.size).toBe(0)
  })

  it('survives more cuts than it has tries as long as each brings something', async () => {
    const { upload, stored } = await setUp({}, ...Array.from({ length: 9 }, () => cutAfter(150_000)))
    expect(await upload()).toBe('uploaded')
    expect(stored()).toBe(true)
  })

  it('stops when its signal fires in the middle of the body', async () => {
    const controller = new AbortController()
    const { client, reference } = await setUp({}, { method: 'PATCH', act: () => controller.abort() })
    const outcome = client.uploadBlob(reference, descriptor, openLayer, { signal: controller.signal })
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })

  it('tells how far it is, the end only when the registry has it', async () => {
    const { client, reference } = await setUp()
    const told: number[] = []
    await client.uploadBlob(reference, descriptor, openLayer, { onProgress: (bytes) => told.push(bytes) })
    expect(told.at(-1)).toBe(layer.length)
    expect(told.length).toBeGreaterThan(5)
  })

  it.each(['http://169.254.169.254/latest', 'ftp://127.0.0.1/x', 'http://u:p@127.0.0.1/x', 'http://[bad'])(
    'refuses to upload to %s (REG-04)',
    async (location) => {
      const post: Fault = { method: 'POST', act: ({ response }) => reply(response, 202, { location }) }
      const { client, registry, reference } = await setUp({}, { ...post, times: 9 })
      const outcome = client.uploadBlob(reference, descriptor, openLayer)
      await expect(outcome).rejects.toMatchObject({ code: 'ERR_REGISTRY_RESPONSE' })
      expect(registry.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(0)
    },
  )
})

describe('putManifest()', () => {
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: descriptor,
    layers: [],
    annotations: {},
  })

  it('stores under the tag, and under the digest where there is no tag', async () => {
    const { registry, client, reference } = await setUp()
    const { digest } = await client.putManifest(reference, manifest, mediaTypes.ociManifest)
    expect(registry.manifests.get('app:1')?.bytes.equals(manifest)).toBe(true)
    await client.putManifest({ ...reference, tag: undefined }, manifest, mediaTypes.ociManifest)
    expect(registry.requests.at(-1)?.path).toBe(`/v2/app/manifests/${digest}`)
  })

  it.each([
    [400, 'MANIFEST_BLOB_UNKNOWN'],
    [413, 'MANIFEST_INVALID'],
  ])('hands on a %i with its code %s (REGF-09)', async (status, code) => {
    const { client, reference } = await setUp(
      {},
      { method: 'PUT', act: ({ response }) => replyError(response, status, code) },
    )
    await expect(client.putManifest(reference, manifest, mediaTypes.ociManifest)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_STATUS',
      details: { status, codes: [code] },
    })
  })

  it('refuses a registry that says it stored something else', async () => {
    const other: Fault = {
      method: 'PUT',
      act: ({ response }) => reply(response, 201, { 'docker-content-digest': digestBytes('other') }),
    }
    const { client, reference } = await setUp({}, other)
    await expect(client.putManifest(reference, manifest, mediaTypes.ociManifest)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_RESPONSE',
    })
  })
})
