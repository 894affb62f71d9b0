import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { ImageDraft } from '@tsbuild/frontend'
import type { Native } from '@tsbuild/native'
import { type ImageConfig, mediaTypes, parseImageConfig, parseManifest } from '@tsbuild/oci'
import { createRegistryClient } from '@tsbuild/registry'
import { type FakeRegistry, reply, replyError, startFakeRegistry } from '@tsbuild/registry/testing'
import {
  type BlobRef,
  createSnapshotter,
  type Filesystem,
  type ImageLayerRef,
  type LayerRef,
} from '@tsbuild/snapshot'
import type { SnapshotId, Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  type AssembledImage,
  type AssembledTree,
  assembleImage,
  type ExportContext,
  type ExporterOptions,
  exportToStore,
  type ImageForm,
  pushImage,
} from './index.ts'

const platform = { os: 'linux', architecture: 'amd64' }
const form: ImageForm = {
  compression: { format: 'gzip', level: 6 },
  forceCompression: false,
  mediaTypes: 'oci',
  preferNonDistributable: false,
  rewriteTimestamp: false,
}
const iso = (ms: number) => new Date(ms).toISOString()

let store: Store
let registry: FakeRegistry
let options: ExporterOptions
let context: ExportContext
let events: BuildEvent[]
let fetched: Digest[]
beforeEach(async () => {
  store = await temporaryStore()
  registry = await startFakeRegistry()
  const client = createRegistryClient({ sleep: async () => {}, retry: { attempts: 1 } })
  onTestFinished(async () => {
    await client.close()
    await registry.stop()
  })
  events = []
  fetched = []
  const native = { diff: () => Promise.reject(new Error('every layer of these tests is made already')) }
  const fetch: ExporterOptions['fetch'] = async (layer) => {
    fetched.push(layer.digest)
    await store.blobs.put(bytesOf(layer))
  }
  const whole = native as Partial<Native> as Native
  const snapshotter = createSnapshotter({ store, native: whole, fetch })
  options = { store, native: whole, snapshotter, registry: () => client, fetch }
  const signal = new AbortController().signal
  context = {
    vertex: digestBytes('export'),
    events: (event) => events.push(event),
    now: () => Date.now(),
    signal,
  }
})

/** A committed snapshot whose layer blob is there. */
async function ownLayer(text: string, createdAt: number): Promise<Extract<LayerRef, { kind: 'snapshot' }>> {
  const draft = await store.snapshots.draft()
  await draft.commit([])
  const { digest, size } = await store.blobs.put(Buffer.from(text))
  const diffId = parseDiffId(digestBytes(`diff ${text}`))
  const form = { format: 'gzip.2', level: 6, clampMtime: null }
  await store.snapshots.setLayer(draft.id, {
    blobs: [{ mediaType: mediaTypes.ociLayerGzip, digest, size, diffId, form }],
  })
  return { kind: 'snapshot', id: draft.id as SnapshotId, createdAt }
}

function baseLayer(text: string, reference = `${registry.host}/base:1`): ImageLayerRef {
  const bytes = Buffer.from(text)
  const diffId = parseDiffId(digestBytes(`diff ${text}`))
  const mediaType = mediaTypes.dockerLayerGzip
  texts.set(digestBytes(bytes), bytes)
  return { kind: 'image', reference, mediaType, digest: digestBytes(bytes), size: bytes.length, diffId }
}

const texts = new Map<Digest, Buffer>()
const bytesOf = ({ digest }: BlobRef) => texts.get(digest) ?? Buffer.alloc(0)

function draftOf(history: ImageDraft['history'], base: Partial<ImageDraft> = {}): ImageDraft {
  return {
    platform,
    author: undefined,
    config: { cmd: ['sh'] },
    baseHistory: [],
    baseCreated: undefined,
    history,
    ...base,
  }
}

const run = { createdBy: 'RUN x', emptyLayer: false }
const env = { createdBy: 'ENV a=b', emptyLayer: true }

const assemble = (draft: ImageDraft, layers: Filesystem['layers'], sourceDateEpoch?: number) =>
  assembleImage(options, { draft, filesystem: { layers }, form, sourceDateEpoch }, context)

/** As the only image of its tree. */
const treeOf = (image: AssembledImage): AssembledTree => ({
  root: image.manifest,
  rootBytes: image.manifestBytes,
  manifests: [image],
})

const configOf = async (image: AssembledImage): Promise<ImageConfig> =>
  parseImageConfig(await store.blobs.read(image.config.digest))

describe('assembleImage()', () => {
  it('gives each history entry the time of its layer, of the one before, or of the first', async () => {
    const layers = [await ownLayer('one', 1000), await ownLayer('two', 2000)]
    const { created, history, diffIds } = await configOf(
      await assemble(draftOf([env, run, env, run, env]), layers),
    )
    expect(history.map((entry) => [entry.createdBy, entry.created, entry.emptyLayer === true])).toEqual([
      ['ENV a=b', iso(1000), true],
      ['RUN x', iso(1000), false],
      ['ENV a=b', iso(1000), true],
      ['RUN x', iso(2000), false],
      ['ENV a=b', iso(2000), true],
    ])
    expect(new Set(history.map(({ comment }) => comment))).toEqual(new Set(['buildkit.dockerfile.v0']))
    expect(created).toBe(iso(2000))
    expect(diffIds).toEqual(['one', 'two'].map((text) => digestBytes(`diff ${text}`)))
  })

  it('gives the same bytes again when every step was cached', async () => {
    const layers = [baseLayer('base'), await ownLayer('one', 1000)]
    const draft = draftOf([run, env])
    const first = await assemble(draft, layers)
    const again = await assemble(draft, layers)
    expect(again.manifest).toEqual(first.manifest)
    expect(await store.blobs.read(first.manifest.digest)).toEqual(Buffer.from(first.manifestBytes))
  })

  it('keeps the history of the base, and its time where no layer is added', async () => {
    const baseHistory = [{ created: '2020-01-01T00:00:00Z', createdBy: 'ADD rootfs' }]
    const draft = draftOf([env], { baseHistory, baseCreated: '2020-02-02T00:00:00Z' })
    const { created, history } = await configOf(await assemble(draft, [baseLayer('base')]))
    expect(created).toBe('2020-02-02T00:00:00Z')
    expect(history).toMatchObject([
      { ...baseHistory[0] },
      { createdBy: 'ENV a=b', created: '2020-02-02T00:00:00Z' },
    ])
  })

  it('counts the layers of this build from the top: a base may be made of snapshots', async () => {
    const layers = [await ownLayer('of a stage', 1000), await ownLayer('own', 2000)]
    const baseHistory = [{ created: iso(500), createdBy: 'RUN in the stage' }]
    const { history } = await configOf(await assemble(draftOf([run], { baseHistory }), layers))
    expect(history.map(({ created }) => created)).toEqual([iso(500), iso(2000)])
  })

  it('sets every time of its own to SOURCE_DATE_EPOCH: two builds of one input are the same', async () => {
    const digests = []
    for (const createdAt of [1000, 2000]) {
      const image = await assemble(draftOf([env, run]), [await ownLayer('one', createdAt)], 86_400)
      const { created, history } = await configOf(image)
      expect([created, ...history.map((entry) => entry.created)]).toEqual(
        Array(3).fill('1970-01-02T00:00:00.000Z'),
      )
      digests.push(image.manifest.digest)
    }
    expect(digests[1]).toBe(digests[0])
  })

  it('writes an OCI manifest also for layers of a Docker base, which it only names', async () => {
    const layer = baseLayer('base')
    const image = await assemble(draftOf([]), [layer])
    const manifest = parseManifest(image.manifestBytes)
    expect(manifest.mediaType).toBe(mediaTypes.ociManifest)
    expect(manifest.layers).toEqual([
      { mediaType: mediaTypes.ociLayerGzip, digest: layer.digest, size: layer.size },
    ])
    expect(fetched).toEqual([])
  })

  it('notes that the layers of this build are unpacked', async () => {
    const layer = await ownLayer('one', 1000)
    await assemble(draftOf([run]), [layer])
    const diffId = parseDiffId(digestBytes('diff one'))
    const asImage = { layers: [{ ...baseLayer('one'), diffId }] }
    const view = await options.snapshotter.view(asImage, context.signal)
    expect([view.lower, fetched]).toEqual([[store.snapshots.path(layer.id)], []])
  })
})

describe('exportToStore()', () => {
  const names = ['docker.io/library/a:1', 'docker.io/library/b:1']

  it('names the image, and fetches what nobody has read yet', async () => {
    const layer = baseLayer('base')
    const image = await assemble(draftOf([]), [layer])
    await exportToStore(options, treeOf(image), names, context)
    for (const name of names) expect(await store.images.get(name)).toMatchObject(image.manifest)
    expect(await store.blobs.size(layer.digest)).toBe(layer.size)
  })

  it('writes only the names that mean another image by now', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1)])
    const written: (readonly string[])[] = []
    const set: Store['images']['set'] = (stale, descriptor) => {
      written.push(stale)
      return store.images.set(stale, descriptor)
    }
    const { list, all, get, remove, keep, forget } = store.images
    const images = {
      list: list.bind(store.images),
      all: all.bind(store.images),
      get: get.bind(store.images),
      remove: remove.bind(store.images),
      keep: keep.bind(store.images),
      forget: forget.bind(store.images),
      set,
    }
    const counted = { ...options, store: { ...store, images } }
    await exportToStore(counted, treeOf(image), names, context)
    await exportToStore(counted, treeOf(image), names, context)
    const other = await assemble(draftOf([run]), [await ownLayer('two', 2)])
    await store.images.set(['docker.io/library/a:1'], other.manifest)
    await exportToStore(counted, treeOf(image), names, context)
    expect(written).toEqual([names, ['docker.io/library/a:1']])
  })

  it('names nothing when a layer cannot be fetched', async () => {
    const image = await assemble(draftOf([]), [baseLayer('base')])
    const broken = { ...options, fetch: () => Promise.reject(new Error('the line is dead')) }
    await expect(exportToStore(broken, treeOf(image), names, context)).rejects.toThrow('the line is dead')
    expect(await store.images.list()).toEqual([])
  })
})

describe('pushImage()', () => {
  const target = () => `${registry.host}/app:1`
  const requests = (method: string) =>
    registry.requests
      .filter((request) => request.method === method)
      .map(({ path }) => path.replace(/\?.*/, ''))
  /** What became of each blob. */
  const outcomes = () =>
    events.flatMap((event) =>
      event.type === 'vertex.status' && event.outcome !== undefined
        ? [`${event.outcome} ${event.id.replace('pushing ', '')}`]
        : [],
    )
  const sentBytes = () => registry.requests.reduce((sum, { bodyLength }) => sum + bodyLength, 0)

  it('sends layers and config first and the manifest last', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1)])
    await pushImage(options, treeOf(image), target(), context)
    expect(registry.manifests.get('app:1')?.bytes).toEqual(Buffer.from(image.manifestBytes))
    for (const { digest } of [image.config, ...image.layers.map(({ descriptor }) => descriptor)])
      expect(registry.blobs.has(`app@${digest}`)).toBe(true)
    expect(registry.requests.at(-1)).toMatchObject({ method: 'PUT', path: '/v2/app/manifests/1' })
    expect(requests('PUT').filter((path) => path.includes('/manifests/'))).toHaveLength(1)
  })

  it('sends no blob again that the repository has', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1)])
    await pushImage(options, treeOf(image), target(), context)
    const before = sentBytes()
    await pushImage(options, treeOf(image), target(), context)
    expect(sentBytes() - before).toBe(image.manifest.size)
    const [layer] = image.layers
    const blobs = [layer?.descriptor, image.config].map((blob) => blob?.digest)
    expect(outcomes().toSorted()).toEqual(
      blobs.flatMap((digest) => [`sent ${digest}`, `exists ${digest}`]).toSorted(),
    )
  })

  it('mounts the layers of a base of the same registry, and fetches none', async () => {
    const layer = baseLayer('base')
    registry.blobs.set(`base@${layer.digest}`, bytesOf(layer))
    const image = await assemble(draftOf([]), [layer])
    await pushImage(options, treeOf(image), target(), context)
    expect(registry.blobs.has(`app@${layer.digest}`)).toBe(true)
    expect([fetched, sentBytes()]).toEqual([[], image.config.size + image.manifest.size])
    expect(outcomes()[0]).toBe(`mounted ${layer.digest}`)
  })

  it('fetches the layers of a base of another registry, and sends them', async () => {
    const layer = baseLayer('base', 'registry.example/base:1')
    const image = await assemble(draftOf([]), [layer])
    await pushImage(options, treeOf(image), target(), context)
    expect(fetched).toEqual([layer.digest])
    expect(registry.blobs.get(`app@${layer.digest}`)).toEqual(bytesOf(layer))
  })

  it('stores no manifest when a layer cannot be sent', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1)])
    registry.fault({ method: 'POST', act: ({ response }) => reply(response, 403), times: 9 })
    await expect(pushImage(options, treeOf(image), target(), context)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
    })
    expect(registry.manifests.size).toBe(0)
  })

  /** The registry's garbage is collected right before it is given the manifest. */
  const collect = (digest: Digest | undefined, times: number) =>
    registry.fault({
      method: 'PUT',
      path: /\/manifests\//,
      times,
      act: ({ response }) => {
        registry.blobs.delete(`app@${digest}`)
        replyError(response, 400, 'MANIFEST_BLOB_UNKNOWN')
      },
    })

  it('sends a layer again, and nothing else, that the registry lost before it got the manifest (REGF-09)', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1), await ownLayer('two', 2)])
    const [lost, kept] = image.layers.map(({ descriptor }) => descriptor)
    collect(lost?.digest, 1)
    await pushImage(options, treeOf(image), target(), context)
    expect(registry.manifests.get('app:1')?.bytes).toEqual(Buffer.from(image.manifestBytes))
    expect(registry.blobs.has(`app@${lost?.digest}`)).toBe(true)
    expect(outcomes().toSorted()).toEqual(
      [lost, lost, kept, image.config].map((blob) => `sent ${blob?.digest}`).toSorted(),
    )
  })

  it('sends it again only once (REGF-09)', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1)])
    collect(image.layers[0]?.descriptor.digest, 9)
    await expect(pushImage(options, treeOf(image), target(), context)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_STATUS',
      details: { codes: ['MANIFEST_BLOB_UNKNOWN'] },
    })
    expect(requests('PUT').filter((path) => path.includes('/manifests/'))).toHaveLength(2)
  })

  it('ends the other uploads when one fails, before it rejects', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1), await ownLayer('two', 2)])
    registry.fault({ method: 'POST', act: () => undefined })
    registry.fault({ method: 'POST', act: ({ response }) => reply(response, 403) })
    await expect(pushImage(options, treeOf(image), target(), context)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
    })
    await expect.poll(() => registry.openConnections()).toBe(0)
    expect(registry.pendingFaults()).toBe(0)
  })

  it('tells how far each blob is, to its end', async () => {
    const image = await assemble(draftOf([run]), [await ownLayer('one', 1)])
    await pushImage(options, treeOf(image), target(), context)
    const done = events.flatMap((event) => (event.type === 'vertex.status' && event.done ? [event.id] : []))
    const blobs = [image.config, ...image.layers.map(({ descriptor }) => descriptor)]
    expect(done.toSorted()).toEqual(blobs.map(({ digest }) => `pushing ${digest}`).toSorted())
  })

  it('throws ERR_REFERENCE_INVALID for a name that is none', async () => {
    const image = await assemble(draftOf([]), [])
    await expect(pushImage(options, treeOf(image), 'App', context)).rejects.toMatchObject({
      code: 'ERR_REFERENCE_INVALID',
    })
  })
})
