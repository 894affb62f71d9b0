import { type DiffId, digestBytes, digestHex } from '@tsbuild/digest'
import {
  type Descriptor,
  mediaTypes,
  parsePlatform,
  serializeImageConfig,
  serializeIndex,
  serializeManifest,
} from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { listImages, removeImages } from './image-list.ts'
import type { Machine } from './machine.ts'

let store: Store
let machine: Machine
beforeEach(async () => {
  store = await temporaryStore()
  machine = { store } as Partial<Machine> as Machine
})

async function put(bytes: Buffer, mediaType: string): Promise<Descriptor> {
  await store.blobs.put(bytes)
  return { mediaType, digest: digestBytes(bytes), size: bytes.length }
}

async function image(created: string, labels: Record<string, string> = {}, platform = 'linux/amd64') {
  const config = serializeImageConfig({
    platform: parsePlatform(platform),
    created,
    config: { labels },
    diffIds: [digestBytes('layer') as string as DiffId],
    history: [],
  })
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: await put(config, mediaTypes.ociConfig),
    layers: [{ mediaType: mediaTypes.ociLayer, digest: digestBytes('layer'), size: 1000 }],
    annotations: {},
  })
  return { ...(await put(manifest, mediaTypes.ociManifest)), platform: parsePlatform(platform) }
}

/** Four images, one without a name, one of another tool that is none, and one that is damaged. */
async function fill() {
  const old = await image('2020-01-01T00:00:00Z', { kind: 'old', a: '' })
  const young = await image('2026-01-01T00:00:00Z', { kind: 'young' })
  const unnamed = await image('2025-01-01T00:00:00Z')
  const arm = await image('2024-01-01T00:00:00Z', {}, 'linux/arm64')
  const bytes = serializeIndex({ mediaType: mediaTypes.ociIndex, manifests: [arm, young], annotations: {} })
  await store.images.set(['docker.io/library/old:1', 'host.test:5000/team/old:2'], old)
  await store.images.set(['docker.io/team/young:latest'], young)
  await store.images.set(['docker.io/library/both:1'], await put(bytes, mediaTypes.ociIndex))
  await store.images.keep(unnamed)
  await store.images.set(['docker.io/library/gone:1'], { ...old, digest: digestBytes('gone') })
  return { old, young, unnamed }
}

const names = async (...filters: string[]) =>
  (await listImages(machine, { filters })).map(({ name }) => name?.replace(/^docker\.io\/(?:library\/)?/, ''))

describe('listImages()', () => {
  it('lists what has a name, with the platforms of an index, and what cannot be read', async () => {
    await fill()
    const listed = await listImages(machine)
    expect(listed.map(({ name }) => name)).toHaveLength(5)
    const both = listed.find(({ name }) => name?.endsWith('both:1'))
    expect(both).toMatchObject({ platforms: ['linux/arm64', 'linux/amd64'], sizeBytes: 1000 })
    expect(listed.find(({ name }) => name?.endsWith('gone:1'))).toMatchObject({
      configDigest: undefined,
      platforms: [],
      sizeBytes: 0,
    })
    expect(await listImages(machine, { all: true })).toHaveLength(6)
  })

  it.each([
    [['reference=old'], ['old:1']],
    [['reference=old:1'], ['old:1']],
    [['reference=*old*'], ['old:1']],
    [['reference=*/*'], ['team/young:latest']],
    [['reference=*/*/old'], ['host.test:5000/team/old:2']],
    [
      ['reference=old', 'reference=both:?'],
      ['old:1', 'both:1'],
    ],
    [['reference=o.d'], []],
    [['label=kind'], ['old:1', 'host.test:5000/team/old:2', 'team/young:latest', 'both:1']],
    [
      ['label=kind=old', 'label=a'],
      ['old:1', 'host.test:5000/team/old:2'],
    ],
    [['label=a='], ['old:1', 'host.test:5000/team/old:2']],
    [['label=toString'], []],
    [['dangling=true'], [undefined]],
    [
      ['before=team/young', 'label=kind'],
      ['old:1', 'host.test:5000/team/old:2'],
    ],
    [['since=old:1', 'reference=*/young'], ['team/young:latest']],
  ])('knows the filters %j', async (filters, wanted) => {
    await fill()
    expect(await names(...filters)).toEqual(wanted)
  })

  it.each(['', 'reference', 'reference=', 'size=1', 'dangling=perhaps', '=x'])(
    'takes %j for no filter',
    async (filter) => {
      await expect(names(filter)).rejects.toMatchObject({ code: 'ERR_USAGE' })
    },
  )

  it('takes no longer for a pattern that is made for that', async () => {
    await fill()
    expect(await names(`reference=${'*l'.repeat(200)}x`)).toEqual([])
  })
})

describe('removeImages()', () => {
  it('removes a name, an id that has one name, and what has none', async () => {
    const { young, unnamed } = await fill()
    expect(await removeImages(machine, { names: ['old:1'] })).toMatchObject([
      { name: 'docker.io/library/old:1', last: false },
    ])
    expect(await removeImages(machine, { names: [digestHex(young.digest).slice(0, 12)] })).toMatchObject([
      { last: true },
    ])
    expect(await removeImages(machine, { names: [unnamed.digest] })).toEqual([
      { name: undefined, digest: unnamed.digest, last: true },
    ])
    expect(await removeImages(machine, { names: ['gone:1'] })).toHaveLength(1)
  })

  it('removes all names of an id only by force, and nothing where one name is not there', async () => {
    const { old } = await fill()
    await expect(removeImages(machine, { names: [old.digest] })).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(removeImages(machine, { names: ['both:1', 'none:1'] })).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
    })
    expect(await names('reference=both')).toEqual(['both:1'])
    const removed = await removeImages(machine, { names: [old.digest, 'none:1'], force: true })
    expect(removed.map(({ last }) => last)).toEqual([false, true])
  })
})
