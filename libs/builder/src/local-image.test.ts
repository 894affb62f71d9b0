import { digestBytes, parseDiffId } from '@tsbuild/digest'
import {
  type Descriptor,
  type ImageConfig,
  mediaTypes,
  type Platform,
  serializeImageConfig,
  serializeManifest,
} from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { imagesOf, nameForPlatform } from './local-image.ts'

const name = 'docker.io/library/base:1'
const amd64 = { os: 'linux', architecture: 'amd64' }
const arm64 = { os: 'linux', architecture: 'arm64' }

let store: Store
beforeEach(async () => {
  store = await temporaryStore()
})

async function put(bytes: Buffer, mediaType: string): Promise<Descriptor> {
  await store.blobs.put(bytes)
  return { mediaType, digest: digestBytes(bytes), size: bytes.length }
}

/** An image of one user; its platform may be another way of saying the same. */
async function image(platform: Platform, user: string) {
  const diffIds = [parseDiffId(digestBytes(user))]
  const config: ImageConfig = { platform, config: { user }, diffIds, history: [] }
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: await put(serializeImageConfig(config), mediaTypes.ociConfig),
    layers: [{ mediaType: mediaTypes.ociLayerGzip, digest: digestBytes(user), size: 1 }],
    annotations: {},
  })
  return { descriptor: await put(manifest, mediaTypes.ociManifest), config }
}

async function usersOf(): Promise<readonly (string | undefined)[]> {
  const descriptor = await store.images.get(name)
  if (descriptor === undefined) return []
  return (await imagesOf(store, descriptor)).map(({ config }) => config.config.user)
}

describe('nameForPlatform()', () => {
  it('names an image by its manifest where nothing has the name', async () => {
    const only = await image(amd64, 'one')
    expect(await nameForPlatform(store, name, only)).toEqual(only.descriptor)
    expect(await store.images.get(name)).toEqual(only.descriptor)
  })

  it('puts an image beside those of other platforms, in an index', async () => {
    await nameForPlatform(store, name, await image(amd64, 'one'))
    const made = await nameForPlatform(store, name, await image(arm64, 'two'))
    expect(made.mediaType).toBe(mediaTypes.ociIndex)
    expect(await usersOf()).toEqual(['one', 'two'])
    const found = await imagesOf(store, made)
    expect(found.map(({ descriptor }) => descriptor.platform)).toEqual([amd64, arm64])
  })

  it('replaces an image of the same platform, and keeps the others', async () => {
    for (const each of [await image(amd64, 'one'), await image(arm64, 'two')])
      await nameForPlatform(store, name, each)
    await nameForPlatform(store, name, await image({ ...arm64, variant: 'v8' }, 'three'))
    expect(await usersOf()).toEqual(['one', 'three'])
    await nameForPlatform(store, name, await image(amd64, 'four'))
    expect(await usersOf()).toEqual(['three', 'four'])
  })

  it('keeps both images of two callers at once', async () => {
    const [one, two] = [await image(amd64, 'one'), await image(arm64, 'two')]
    await Promise.all([nameForPlatform(store, name, one), nameForPlatform(store, name, two)])
    expect([...(await usersOf())].toSorted()).toEqual(['one', 'two'])
  })
})

describe('imagesOf()', () => {
  it('throws ERR_STORE_CORRUPT where a blob is not there any more', async () => {
    const gone: Descriptor = { mediaType: mediaTypes.ociManifest, digest: digestBytes('gone'), size: 4 }
    await expect(imagesOf(store, gone)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' })
  })
})
