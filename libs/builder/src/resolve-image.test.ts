import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { EnvironmentError } from '@tsbuild/errors'
import {
  type Descriptor,
  mediaTypes,
  type Platform,
  parsePlatform,
  serializeImageConfig,
  serializeIndex,
  serializeManifest,
} from '@tsbuild/oci'
import { createRegistryClient, type RegistryClient } from '@tsbuild/registry'
import { type FakeRegistry, reply, startFakeRegistry } from '@tsbuild/registry/testing'
import { openStore, type Store } from '@tsbuild/store'
import { storeOptions, temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createImageSource, type ImageSource } from './resolve-image.ts'

const amd64 = { os: 'linux', architecture: 'amd64' }
const arm64 = { os: 'linux', architecture: 'arm64' }
const signal = new AbortController().signal

/** An image without a single file: what is asked for is only described. */
function image(user: string, layers = 1, diffIds = layers, platform: Platform = amd64) {
  const config = serializeImageConfig({
    platform,
    config: { user },
    diffIds: Array.from({ length: diffIds }, (_, index) => parseDiffId(digestBytes(`diff ${user} ${index}`))),
    history: [],
  })
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: descriptorOf(config, mediaTypes.ociConfig),
    layers: Array.from({ length: layers }, (_, index) =>
      descriptorOf(layer(user, index), mediaTypes.ociLayerGzip),
    ),
    annotations: {},
  })
  return { config, manifest }
}

const layer = (user: string, index: number) => Buffer.from(`layer ${user} ${index}`)

function descriptorOf(bytes: Buffer, mediaType: string): Descriptor {
  return { mediaType, digest: digestBytes(bytes), size: bytes.length }
}

let store: Store
let registry: FakeRegistry
let images: ImageSource
beforeEach(async () => {
  store = await temporaryStore()
  registry = await startFakeRegistry()
  const client = createRegistryClient({ sleep: async () => {}, retry: { attempts: 1 } })
  images = createImageSource({ store, registry: () => client })
  onTestFinished(async () => {
    await client.close()
    await registry.stop()
  })
})

const name = () => `${registry.host}/app:1`

function serve(bytes: Buffer, mediaType: string, reference = 'app:1'): void {
  registry.manifests.set(reference, { bytes, mediaType })
  registry.manifests.set(`app@${digestBytes(bytes)}`, { bytes, mediaType })
}

function serveImage({ config, manifest }: ReturnType<typeof image>): void {
  serve(manifest, mediaTypes.ociManifest)
  registry.blobs.set(`app@${digestBytes(config)}`, config)
}

async function keep({ config, manifest }: ReturnType<typeof image>, full = name()): Promise<Digest> {
  await store.blobs.put(config)
  await store.blobs.put(manifest)
  const descriptor = descriptorOf(manifest, mediaTypes.ociManifest)
  await store.images.set([full], descriptor)
  return descriptor.digest
}

const resolve = (pull = false, platform = amd64) => images.resolve(name(), platform, { pull, signal })
const userOf = async (pull: boolean) => (await resolve(pull)).config.config.user

describe('ImageSource.resolve()', () => {
  it('asks no registry for a local image', async () => {
    const digest = await keep(image('local'))
    serveImage(image('remote'))
    expect(await resolve()).toMatchObject({
      reference: name(),
      manifest: digest,
      config: { config: { user: 'local' } },
    })
    expect(registry.requests).toEqual([])
  })

  it('asks the registry for what is not local, and fetches manifest and config alone', async () => {
    serveImage(image('remote', 2))
    const { manifest, layers } = await resolve()
    expect(manifest).toBe(digestBytes(image('remote', 2).manifest))
    expect(layers).toEqual(
      [0, 1].map((index) => ({
        ...descriptorOf(layer('remote', index), mediaTypes.ociLayerGzip),
        diffId: digestBytes(`diff remote ${index}`),
      })),
    )
    expect(
      registry.requests.map(({ method, path }) => `${method} ${path.replace(/@.*|sha256:\w+/, '')}`),
    ).toEqual(['GET /v2/app/manifests/1', 'GET /v2/app/blobs/'])
  })

  it('keeps the layers of a local image from being deleted, though they are read later', async () => {
    await keep(image('local'))
    await store.blobs.put(layer('local', 0))
    const deleter = await openStore(storeOptions(store.root))
    onTestFinished(() => deleter.close())
    store.releaseUses()
    await resolve()
    const blobs = (await deleter.space.list()).filter(({ kind }) => kind === 'blob')
    expect(await deleter.space.remove(blobs)).toEqual(['in-use', 'in-use', 'in-use'])
  })

  it('does not fetch a config again that is in the store', async () => {
    serveImage(image('remote'))
    await resolve()
    await resolve()
    expect(registry.requests.filter(({ path }) => path.includes('/blobs/'))).toHaveLength(1)
  })

  it('asks the registry where the local image is for another platform', async () => {
    await keep(image('local'))
    serveImage(image('remote', 1, 1, arm64))
    expect(await resolve(false, arm64)).toMatchObject({ config: { config: { user: 'remote' } } })
    expect(await userOf(false)).toBe('local')
  })

  it.each([false, true])(
    'throws ERR_IMAGE_NOT_FOUND with the platform of the local image where no registry has another (pull: %s)',
    async (pull) => {
      await keep(image('local'))
      await expect(resolve(pull, arm64)).rejects.toMatchObject({
        code: 'ERR_IMAGE_NOT_FOUND',
        message: `Cannot use image "${name()}" for linux/arm64: the local image is for linux/amd64, and no registry gave another`,
        hints: ['A stage that need not run for linux/arm64 can say `FROM --platform=linux/amd64`.'],
      })
    },
  )

  it('says how to make the Debian image of another platform', async () => {
    await keep(image('local'), 'docker.io/library/debian:bookworm')
    const failure = new EnvironmentError('ERR_REGISTRY_UNREACHABLE', 'no network')
    const offline = createImageSource({
      store,
      registry: () => ({ resolve: () => Promise.reject(failure) }) as unknown as RegistryClient,
    })
    const wanted = offline.resolve('debian:bookworm', arm64, { pull: false, signal })
    await expect(wanted).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      cause: failure,
      hints: [
        expect.stringContaining('FROM --platform=linux/amd64'),
        expect.stringContaining('`tsbuild bootstrap debian:bookworm --platform linux/arm64`'),
      ],
    })
  })

  it('leaves what the registry said where that is no reason for a local image', async () => {
    await keep(image('local'))
    registry.fault({ act: ({ response }) => reply(response, 403), times: 9 })
    await expect(resolve(false, arm64)).rejects.toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
  })

  it('takes the image of the platform out of a local index', async () => {
    const [ours, theirs] = [image('ours'), image('theirs', 1, 1, arm64)]
    const manifests = [ours, theirs].map((each, index) => ({
      ...descriptorOf(each.manifest, mediaTypes.ociManifest),
      platform: [amd64, arm64][index] ?? amd64,
    }))
    for (const { config, manifest } of [ours, theirs])
      for (const bytes of [config, manifest]) await store.blobs.put(bytes)
    const bytes = serializeIndex({ mediaType: mediaTypes.ociIndex, manifests, annotations: {} })
    await store.blobs.put(bytes)
    await store.images.set([name()], descriptorOf(bytes, mediaTypes.ociIndex))
    expect(await resolve(false, arm64)).toMatchObject({ config: { config: { user: 'theirs' } } })
    expect(await userOf(false)).toBe('ours')
    const riscv64 = { os: 'linux', architecture: 'riscv64' }
    await expect(resolve(false, riscv64)).rejects.toMatchObject({
      message: expect.stringContaining('the local image is for linux/amd64, linux/arm64,'),
    })
  })

  it.each([
    ['linux/arm64/v8', { ...arm64 }, true],
    ['linux/arm/v7', { os: 'linux', architecture: 'arm' }, true],
    ['linux/arm/v6', { os: 'linux', architecture: 'arm' }, true],
    ['linux/arm/v6', { os: 'linux', architecture: 'arm', variant: 'v7' }, false],
    ['linux/amd64', { os: 'linux', architecture: '386' }, true],
    ['linux/386', amd64, false],
  ])('for %s a local image of %j: %s', async (wanted, platform, serves) => {
    await keep(image('local', 1, 1, platform))
    const found = resolve(false, parsePlatform(wanted)).then(
      () => true,
      () => false,
    )
    expect(await found).toBe(serves)
  })

  it("gives the registry's image to pull, though there is a local one", async () => {
    await keep(image('local'))
    serveImage(image('remote'))
    expect(await userOf(true)).toBe('remote')
  })

  it('takes the local image to pull where the registry does not have it', async () => {
    await keep(image('local'))
    expect(await userOf(true)).toBe('local')
    expect(registry.requests).toHaveLength(1)
  })

  it.each([
    ['refuses', 403, 'ERR_REGISTRY_AUTH'],
    ['is broken', 500, 'ERR_REGISTRY_STATUS'],
  ])('takes no local image to pull when the registry %s: it may be an old one', async (_, status, code) => {
    await keep(image('local'))
    registry.fault({ act: ({ response }) => reply(response, status), times: 9 })
    await expect(resolve(true)).rejects.toMatchObject({ code })
  })

  it('throws ERR_CANCELLED when the signal fires, and takes no local image to pull', async () => {
    await keep(image('local'))
    const abort = new AbortController()
    registry.fault({ act: () => abort.abort() })
    await expect(images.resolve(name(), amd64, { pull: true, signal: abort.signal })).rejects.toMatchObject({
      code: 'ERR_CANCELLED',
    })
  })

  it('throws ERR_IMAGE_NOT_FOUND when nobody has it', async () => {
    await expect(resolve()).rejects.toMatchObject({ kind: 'user', code: 'ERR_IMAGE_NOT_FOUND' })
  })

  it('chooses the manifest of the platform out of an index', async () => {
    const [ours, theirs] = [image('ours'), image('theirs')]
    serveImage(theirs)
    serveImage(ours)
    const manifests = [
      { ...descriptorOf(theirs.manifest, mediaTypes.ociManifest), platform: arm64 },
      { ...descriptorOf(ours.manifest, mediaTypes.ociManifest), platform: amd64 },
    ]
    serve(serializeIndex({ mediaType: mediaTypes.ociIndex, manifests, annotations: {} }), mediaTypes.ociIndex)
    expect(await resolve()).toMatchObject({
      manifest: digestBytes(ours.manifest),
      config: { config: { user: 'ours' } },
    })
  })

  it('throws ERR_IMAGE_NOT_FOUND with the platforms that an index offers', async () => {
    const { manifest } = image('theirs')
    const manifests = [{ ...descriptorOf(manifest, mediaTypes.ociManifest), platform: arm64 }]
    serve(serializeIndex({ mediaType: mediaTypes.ociIndex, manifests, annotations: {} }), mediaTypes.ociIndex)
    await expect(resolve()).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: `Cannot use image "${name()}": it is not made for linux/amd64, only for linux/arm64`,
    })
  })

  it('throws ERR_MANIFEST_INVALID when config and manifest have different numbers of layers', async () => {
    serveImage(image('remote', 2, 1))
    await expect(resolve()).rejects.toMatchObject({
      code: 'ERR_MANIFEST_INVALID',
      message: `Cannot use image "${name()}": its config names 1 layers and its manifest 2`,
    })
  })

  it('throws ERR_DIGEST_MISMATCH when the config has other bytes than the manifest says', async () => {
    const { config, manifest } = image('remote')
    serve(manifest, mediaTypes.ociManifest)
    registry.blobs.set(`app@${digestBytes(config)}`, Buffer.alloc(config.length))
    await expect(resolve()).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
    expect(await store.blobs.size(digestBytes(config))).toBeUndefined()
  })

  it('throws ERR_REGISTRY_RESPONSE when the answer is a web page', async () => {
    serve(Buffer.from('<html>Log in</html>'), 'text/html')
    await expect(resolve()).rejects.toMatchObject({ kind: 'environment', code: 'ERR_REGISTRY_RESPONSE' })
  })

  it('throws ERR_MANIFEST_INVALID when the answer is JSON, but no manifest', async () => {
    serve(Buffer.from('{"schemaVersion":2}'), mediaTypes.ociManifest)
    await expect(resolve()).rejects.toMatchObject({ code: 'ERR_MANIFEST_INVALID' })
  })

  it('throws ERR_SIZE_MISMATCH and fetches nothing when a config would be larger than a config is', async () => {
    const config = { ...descriptorOf(Buffer.from('x'), mediaTypes.ociConfig), size: 2 ** 40 }
    const manifest = { mediaType: mediaTypes.ociManifest, config, layers: [], annotations: {} }
    serve(serializeManifest(manifest), mediaTypes.ociManifest)
    await expect(resolve()).rejects.toMatchObject({ kind: 'user', code: 'ERR_SIZE_MISMATCH' })
    expect(registry.requests).toHaveLength(1)
  })
})

describe('ImageSource.fetchLayer()', () => {
  const bytes = layer('remote', 0)
  const ref = () =>
    ({
      kind: 'image',
      reference: name(),
      ...descriptorOf(bytes, mediaTypes.ociLayerGzip),
      diffId: parseDiffId(digestBytes('diff')),
    }) as const

  it('puts the layer into the store', async () => {
    registry.blobs.set(`app@${digestBytes(bytes)}`, bytes)
    await images.fetchLayer(ref(), signal)
    expect(await store.blobs.read(digestBytes(bytes))).toEqual(bytes)
  })

  it('leaves nothing behind when it fails', async () => {
    registry.blobs.set(`app@${digestBytes(bytes)}`, Buffer.alloc(bytes.length))
    await expect(images.fetchLayer(ref(), signal)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
    expect(await store.blobs.size(digestBytes(bytes))).toBeUndefined()
  })
})
