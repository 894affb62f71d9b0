import { Readable } from 'node:stream'
import { readCacheManifest, writeCacheConfig, writeCacheManifest } from '@tsbuild/buildkit-cache'
import { digestBytes } from '@tsbuild/digest'
import { sleepFor } from '@tsbuild/http'
import { mediaTypes, parseManifestOrIndex, parseReference, serializeManifest } from '@tsbuild/oci'
import { createRegistryClient, type RegistryClient, type RegistryClientOptions } from '@tsbuild/registry'
import {
  type FakeRegistryOptions,
  fault,
  hasDockerRegistry,
  startDockerRegistry,
  startFakeRegistry,
} from '@tsbuild/registry/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { exportBuild } from '../testing/export-build.ts'
import { type SampleBuild, sampleBuild } from '../testing/sample-build.ts'
import type { CacheTarget } from '../types.ts'
import { registryImporter, registryPlace } from './registry-cache.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const signal = new AbortController().signal
type Options = Omit<Extract<CacheTarget, { type: 'registry' }>, 'type' | 'ref'>

function clientOf(options: RegistryClientOptions = { sleep: async () => undefined }): RegistryClient {
  const client = createRegistryClient(options)
  cleanups.push(() => client.close())
  return client
}

const systemClock = { now: Date.now, random: Math.random, sleep: sleepFor }

/** One build of its own: what it has open it shares with no other. */
async function exportTo(
  ref: string,
  build: SampleBuild,
  options: Options = {},
  now: number | null = 1_000,
  client = clientOf(),
) {
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms / 10))
  const clock = now === null ? systemClock : { now: () => now, random: Math.random, sleep: pause }
  const place = registryPlace(() => client, ref, { clock, status: build.tools.status })
  const target = { type: 'registry' as const, ref, ...options }
  return await exportBuild(build, place, { target, now: clock.now })
}

async function foundIn(ref: string, names: readonly string[]): Promise<readonly string[]> {
  const client = clientOf()
  const found = await registryImporter(() => client, ref).plan(
    sampleBuild(names).planned,
    () => undefined,
    signal,
  )
  return found.map(({ record }) => record.name.slice('[1/1] RUN '.length))
}

async function setUp(options: FakeRegistryOptions = {}) {
  const registry = await startFakeRegistry(options)
  cleanups.push(registry.stop)
  const ref = `${registry.host}/app:cache`
  const writes = () =>
    registry.requests.filter(({ method, path }) => method === 'PUT' && path.includes('/manifests/')).length
  return { registry, ref, writes }
}

describe('a cache in a registry', () => {
  it('is found in two requests, and a layer is read from where it is wanted', async () => {
    const { registry, ref } = await setUp()
    const build = sampleBuild(['a', 'b'])
    expect(await exportTo(ref, build)).toMatchObject({ records: 2, sentBlobs: 2, skippedBlobs: 0 })
    const before = registry.requests.length
    const client = clientOf()
    const importer = registryImporter(() => client, ref)
    expect(await importer.plan(build.planned, () => undefined, signal)).toHaveLength(2)
    expect(await importer.find([], signal)).toEqual([])
    expect(registry.requests.slice(before).map(({ method }) => method)).toEqual(['GET', 'GET'])
    const [own] = build.steps
    const [layer] = own?.layers ?? []
    if (layer === undefined) throw new Error('no layer')
    const { layer: blob } = await build.tools.blobOf(layer, undefined, signal)
    const cached = { kind: 'cached' as const, blobs: [blob], places: [ref], createdAt: 1 }
    const bytes = await (await importer.openBlob(cached, blob, 5, signal))?.toArray()
    expect(Buffer.concat(bytes ?? [])).toEqual(build.blobs.get(blob.digest)?.subarray(5))
    const gone = { ...blob, digest: digestBytes('gone') }
    expect(await importer.openBlob(cached, gone, 0, signal)).toBeUndefined()
  })

  it('is written in the form that is asked for', async () => {
    const { registry, ref } = await setUp()
    await exportTo(ref, sampleBuild(['a']))
    const formOf = () => {
      const stored = registry.manifests.get('app:cache')
      return parseManifestOrIndex(stored?.bytes ?? Buffer.of(), stored?.mediaType)
    }
    expect(formOf().type).toBe('manifest')
    await exportTo(ref, sampleBuild(['a']), { imageManifest: false })
    expect(formOf()).toMatchObject({ type: 'index', index: { mediaType: mediaTypes.ociIndex } })
    await exportTo(ref, sampleBuild(['a']), { ociMediaTypes: false })
    expect(formOf()).toMatchObject({ type: 'index', index: { mediaType: mediaTypes.dockerManifestList } })
    expect(await foundIn(ref, ['a'])).toEqual(['a'])
  })

  it('is not written where it says everything already', async () => {
    const { registry, ref, writes } = await setUp()
    await exportTo(ref, sampleBuild(['a', 'b']))
    const [written, requests] = [writes(), registry.requests.length]
    expect(await exportTo(ref, sampleBuild(['a', 'b']), {}, 2_000)).toMatchObject({
      sentBlobs: 0,
      skippedBlobs: 2,
    })
    expect(writes()).toBe(written)
    expect(registry.requests.slice(requests).map(({ method }) => method)).toEqual([
      'GET',
      'GET',
      'GET',
      'GET',
    ])
  })

  it('exports with mode=min only what is in an image, and nothing where there is nothing', async () => {
    const { ref, writes } = await setUp()
    const { steps, ...rest } = sampleBuild(['a', 'b'])
    const hidden = steps.map((step, place) => ({ ...step, inImage: place === 0 }))
    await exportTo(ref, { ...rest, steps: hidden })
    expect(await foundIn(ref, ['a', 'b'])).toEqual(['a'])
    await exportTo(ref, { ...rest, steps: hidden }, { mode: 'max' })
    expect(await foundIn(ref, ['a', 'b'])).toEqual(['a', 'b'])
    const before = writes()
    expect(await exportTo(ref, { ...rest, steps: hidden.slice(1) })).toMatchObject({ records: 0 })
    expect(writes()).toBe(before)
  })

  it.each([
    ['looks at If-Match', { conditions: true }],
    ['does not look at If-Match', {}],
  ])('loses nothing of six builds that end together, in a registry that %s', async (_, options) => {
    const { ref, writes } = await setUp(options)
    const builds = Array.from({ length: 6 }, (_, place) => ['base', `own${place}`])
    await Promise.all(builds.map((names) => exportTo(ref, sampleBuild(names))))
    for (const names of builds) expect(await foundIn(ref, names)).toEqual(names)
    expect(writes()).toBeGreaterThanOrEqual(6)
  })

  it.runIf(hasDockerRegistry())(
    'loses nothing of six builds that end together, in docker-registry',
    async () => {
      const registry = await startDockerRegistry()
      cleanups.push(registry.stop)
      const ref = `${registry.host}/app:cache`
      const builds = Array.from({ length: 6 }, (_, place) => ['base', `own${place}`])
      // It answers 500 while it writes a tag; a client waits and asks again.
      await Promise.all(builds.map((names) => exportTo(ref, sampleBuild(names), {}, null, clientOf({}))))
      for (const names of builds) expect(await foundIn(ref, names)).toEqual(names)
    },
  )

  it('writes over nothing that was not read, where the registry can tell', async () => {
    const { registry, ref } = await setUp({ conditions: true })
    await exportTo(ref, sampleBuild(['a']))
    // Somebody else writes between the reading and the writing of the second build.
    const other = sampleBuild(['b'])
    registry.fault({
      method: 'PUT',
      path: /manifests\/cache$/,
      act: async ({ next }) => {
        await exportTo(ref, other)
        await next()
      },
    })
    await exportTo(ref, sampleBuild(['c']))
    expect(registry.pendingFaults()).toBe(0)
    for (const name of ['a', 'b', 'c']) expect(await foundIn(ref, [name])).toEqual([name])
  })

  it('keeps what BuildKit wrote', async () => {
    const { registry, ref } = await setUp()
    const client = clientOf()
    const layer = Buffer.from('layer')
    const annotations = { 'containerd.io/uncompressed': digestBytes('tar') }
    const descriptor = {
      mediaType: mediaTypes.ociLayerGzip,
      digest: digestBytes(layer),
      size: 5,
      annotations,
    }
    registry.blobs.set(`app@${descriptor.digest}`, layer)
    const record = {
      digest: digestBytes('key'),
      inputs: [],
      results: [{ layer: 0, createdAt: 5 }],
      chains: [],
    }
    const layers = [
      { blob: descriptor.digest, parent: -1, descriptor, diffId: undefined, createdAt: undefined },
    ]
    const { bytes } = writeCacheConfig({ layers, records: [record] })
    const config = {
      mediaType: 'application/vnd.buildkit.cacheconfig.v0',
      digest: digestBytes(bytes),
      size: bytes.length,
    }
    registry.blobs.set(`app@${config.digest}`, Buffer.from(bytes))
    const written = writeCacheManifest(
      { config, layers: [descriptor] },
      { imageManifest: false, ociMediaTypes: true },
    )
    await client.putManifest(parseReference(ref), written.bytes, written.mediaType)
    await exportTo(ref, sampleBuild(['a']))
    const stored = registry.manifests.get('app:cache')
    const cache = readCacheManifest(parseManifestOrIndex(stored?.bytes ?? Buffer.of(), stored?.mediaType))
    const text = registry.blobs.get(`app@${cache?.config.digest}`)?.toString() ?? ''
    expect(JSON.parse(text).records).toMatchObject([{ digest: record.digest, layers: [{ layer: 0 }] }])
    expect(cache?.layers.map(({ digest }) => digest)).toContain(descriptor.digest)
    expect(await foundIn(ref, ['a'])).toEqual(['a'])
  })

  it('is not written over an image', async () => {
    const { registry, ref, writes } = await setUp()
    const client = clientOf()
    const config = Buffer.from('{}')
    const descriptor = { mediaType: mediaTypes.ociConfig, digest: digestBytes(config), size: 2 }
    await client.uploadBlob(parseReference(ref), descriptor, () => Readable.from([config]))
    const image = serializeManifest({
      mediaType: mediaTypes.ociManifest,
      config: descriptor,
      layers: [],
      annotations: {},
    })
    await client.putManifest(parseReference(ref), image, mediaTypes.ociManifest)
    const before = writes()
    await expect(exportTo(ref, sampleBuild(['a']))).rejects.toMatchObject({ code: 'ERR_CACHE_TAG' })
    expect(writes()).toBe(before)
    expect(registry.manifests.get('app:cache')?.bytes).toEqual(image)
    await expect(foundIn(ref, ['a'])).rejects.toMatchObject({ code: 'ERR_CACHE_INVALID' })
  })

  it('is written over where nobody can read it', async () => {
    const { registry, ref } = await setUp()
    await exportTo(ref, sampleBuild(['a']))
    for (const [name, bytes] of registry.blobs)
      if (bytes.includes('tsbuild.v1')) registry.blobs.set(name, Buffer.from('x'.repeat(bytes.length)))
    await expect(foundIn(ref, ['a'])).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
    await exportTo(ref, sampleBuild(['b']))
    expect(await foundIn(ref, ['b'])).toEqual(['b'])
  })

  it('says what to try where a registry takes no such manifest', async () => {
    const { registry, ref } = await setUp()
    const refusal = { type: 'answer', status: 400, code: 'MANIFEST_INVALID' } as const
    registry.fault(fault({ method: 'PUT', path: /manifests\/cache$/ }, refusal))
    await expect(exportTo(ref, sampleBuild(['a']))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_STATUS',
      message: expect.stringContaining('the registry refuses the manifest of a cache in this form'),
      hints: ['Try image-manifest=false, or compression=gzip,force-compression=true.'],
    })
  })

  it('sends again what the registry lost meanwhile', async () => {
    const { registry, ref } = await setUp()
    registry.fault({
      method: 'PUT',
      path: /manifests\/cache$/,
      act: async ({ response, body }) => {
        await body()
        for (const name of registry.blobs.keys()) registry.blobs.delete(name)
        response.writeHead(404, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ errors: [{ code: 'MANIFEST_BLOB_UNKNOWN', message: 'gone' }] }))
      },
    })
    const build = sampleBuild(['a', 'b'])
    await exportTo(ref, build)
    for (const digest of build.blobs.keys()) expect(registry.blobs.has(`app@${digest}`)).toBe(true)
  })

  it('mounts a layer that another repository of the registry has', async () => {
    const { registry, ref } = await setUp()
    const build = sampleBuild(['a'])
    for (const [digest, bytes] of build.blobs) registry.blobs.set(`other@${digest}`, bytes)
    const { tools } = build
    const blobOf: typeof tools.blobOf = async (...args) => ({
      ...(await tools.blobOf(...args)),
      places: [`${registry.host}/other:x`, '/some/directory:latest', 'https://cache.example'],
    })
    expect(await exportTo(ref, { ...build, tools: { ...tools, blobOf } })).toMatchObject({
      sentBlobs: 0,
      skippedBlobs: 1,
    })
  })
})
