import { digestHex } from '@tsbuild/digest'
import { parseManifest } from '@tsbuild/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findLocalImage } from './index.ts'
import { type Blobs, makeImage, makeIndex } from './testing/made-images.ts'
import { openTestPlaces, type TestPlaces } from './testing/place-options.ts'

let places: TestPlaces
beforeEach(async () => {
  places = await openTestPlaces()
})
afterEach(() => places.remove())

async function fill() {
  const blobs: Blobs = new Map()
  const image = makeImage(blobs, ['one'])
  const index = makeIndex(blobs, [
    makeImage(blobs, ['two']),
    makeImage(blobs, ['two'], { platform: 'linux/arm64' }),
  ])
  for (const bytes of blobs.values()) await places.store.blobs.put(bytes)
  await places.store.images.set(['docker.io/library/app:1', 'docker.io/library/app:latest'], image)
  await places.store.images.set(['host.test:5000/a/b:1'], index)
  const configOf = parseManifest(blobs.get(image.digest) ?? Buffer.alloc(0)).config.digest
  return { image, index, configOf, find: (text: string) => findLocalImage(places.store, text) }
}

describe('findLocalImage()', () => {
  it('finds an image by its name, by name and digest, and by its digests or a beginning of them', async () => {
    const { image, index, configOf, find } = await fill()
    for (const text of ['app:1', 'docker.io/library/app:1', `app@${image.digest}`, `app:1@${image.digest}`])
      expect((await find(text)).descriptor.digest, text).toBe(image.digest)
    expect((await find('app')).by).toBe('docker.io/library/app:latest')
    for (const text of [
      image.digest,
      digestHex(image.digest),
      digestHex(image.digest).slice(0, 12),
      configOf,
      configOf.slice(0, 20),
    ])
      expect(await find(text), text).toMatchObject({
        descriptor: { digest: image.digest },
        by: undefined,
        names: ['docker.io/library/app:1', 'docker.io/library/app:latest'],
      })
    expect((await find(digestHex(index.digest).slice(0, 8))).descriptor.digest).toBe(index.digest)
  })

  it('takes a name for a name although it could be the beginning of an id', async () => {
    const { image, find } = await fill()
    const prefix = digestHex(image.digest).slice(0, 6)
    await places.store.images.set([`docker.io/library/${prefix}:latest`], image)
    expect((await find(prefix)).by).toBe(`docker.io/library/${prefix}:latest`)
  })

  it('says what it does not find, and what it finds twice', async () => {
    const { image, find } = await fill()
    for (const text of ['app:2', 'other', `other@${image.digest}`, 'abcd', `sha256:${'0'.repeat(64)}`])
      await expect(find(text), text).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' })
    const images: Blobs = new Map()
    // One of 2,000 images has a beginning of four digits in common with another.
    for (let at = 0; at < 2000; at++) makeImage(images, [`${at}`])
    const byPrefix = new Map<string, string[]>()
    for (const digest of images.keys())
      byPrefix.set(digest.slice(7, 11), [...(byPrefix.get(digest.slice(7, 11)) ?? []), digest])
    const [prefix, pair] = [...byPrefix].find(([, digests]) => digests.length > 1) ?? []
    if (prefix === undefined || pair === undefined) throw new Error('no two digests begin alike')
    for (const digest of pair)
      await places.store.images.keep({ ...image, digest: digest as typeof image.digest })
    await expect(find(prefix)).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: expect.stringContaining('2 local images'),
    })
  })
})
