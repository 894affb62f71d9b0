import { type Digest, digestBytes } from '@tsbuild/digest'
import type { Native } from '@tsbuild/native'
import { mediaTypes, parseIndex, serializeManifest } from '@tsbuild/oci'
import { createSnapshotter } from '@tsbuild/snapshot'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { type AssembledImage, assembleTree, type ExporterOptions } from './index.ts'

const amd64 = { os: 'linux', architecture: 'amd64' }
const armV7 = { os: 'linux', architecture: 'arm', variant: 'v7' }

let store: Store
let options: ExporterOptions
beforeEach(async () => {
  store = await temporaryStore()
  const native = {} as Native
  const unused = () => Promise.reject(new Error('not expected'))
  options = {
    store,
    native,
    snapshotter: createSnapshotter({ store, native, fetch: unused }),
    registry: () => {
      throw new Error('not expected')
    },
    fetch: unused,
  }
})

function imageOf(text: string, descriptor: Partial<AssembledImage['manifest']> = {}): AssembledImage {
  const config = { mediaType: mediaTypes.ociConfig, digest: digestBytes(text), size: text.length }
  const mediaType = mediaTypes.ociManifest
  const manifestBytes = serializeManifest({ mediaType, config, layers: [], annotations: {} })
  const { length: size } = manifestBytes
  const manifest = { mediaType, digest: digestBytes(manifestBytes), size, ...descriptor }
  return { manifest, manifestBytes, config, layers: [] }
}

const one = { platform: amd64, image: imageOf('one') }
const two = { platform: armV7, image: imageOf('two') }
const readIndex = async (digest: Digest) => parseIndex(await store.blobs.read(digest))

describe('assembleTree()', () => {
  it('of one image about which nothing is said is that image', async () => {
    const tree = await assembleTree(options, { images: [one], mediaTypes: 'oci' })
    expect(tree).toEqual({
      root: one.image.manifest,
      rootBytes: one.image.manifestBytes,
      manifests: [one.image],
    })
  })

  it('of several is an index in the order given, with these bytes', async () => {
    const { root, rootBytes, manifests } = await assembleTree(options, {
      images: [two, one],
      mediaTypes: 'oci',
    })
    const entry = ({ image: { manifest } }: typeof one, platform: string) =>
      `{"mediaType":"${mediaTypes.ociManifest}","digest":"${manifest.digest}","size":${manifest.size},"platform":${platform}}`
    expect(Buffer.from(rootBytes).toString()).toBe(
      `{"schemaVersion":2,"mediaType":"${mediaTypes.ociIndex}","manifests":[${[
        entry(two, '{"architecture":"arm","os":"linux","variant":"v7"}'),
        entry(one, '{"architecture":"amd64","os":"linux"}'),
      ].join(',')}]}`,
    )
    expect(root).toEqual({
      mediaType: mediaTypes.ociIndex,
      digest: digestBytes(rootBytes),
      size: rootBytes.length,
    })
    expect(await store.blobs.read(root.digest)).toEqual(Buffer.from(rootBytes))
    expect(manifests).toEqual([two.image, one.image])
  })

  it("is Docker's manifest list in Docker's types", async () => {
    const { root } = await assembleTree(options, { images: [one, two], mediaTypes: 'docker' })
    expect(root.mediaType).toBe(mediaTypes.dockerManifestList)
    expect((await readIndex(root.digest)).mediaType).toBe(mediaTypes.dockerManifestList)
  })

  it('has annotations of the index, of its descriptor and of those in it', async () => {
    const images = [{ ...one, image: imageOf('one', { annotations: { on: 'descriptor' } }) }, two]
    const annotations = { index: { in: 'index' }, indexDescriptor: { on: 'root' } }
    const { root } = await assembleTree(options, { images, mediaTypes: 'oci', annotations })
    expect(root.annotations).toEqual({ on: 'root' })
    const index = await readIndex(root.digest)
    expect(index.annotations).toEqual({ in: 'index' })
    expect(index.manifests.map((entry) => entry.annotations)).toEqual([{ on: 'descriptor' }, undefined])
  })

  it.each([
    { index: { a: 'b' }, indexDescriptor: {} },
    { index: {}, indexDescriptor: { a: 'b' } },
  ])('refuses %j of one image', async (annotations) => {
    const tree = assembleTree(options, { images: [one], mediaTypes: 'oci', annotations })
    await expect(tree).rejects.toMatchObject({ code: 'ERR_USAGE' })
  })

  it('has what is said about images behind all of them, for no platform', async () => {
    const about = imageOf('about one', {
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
    })
    const asked: unknown[] = []
    const attestationsOf = async (image: AssembledImage, platform: object) => {
      asked.push([image, platform])
      return image === one.image ? about : undefined
    }
    const tree = await assembleTree(options, { images: [one, two], mediaTypes: 'oci', attestationsOf })
    expect(asked).toEqual([
      [one.image, amd64],
      [two.image, armV7],
    ])
    expect(tree.manifests).toEqual([one.image, two.image, about])
    const { manifests } = await readIndex(tree.root.digest)
    expect(manifests[2]).toEqual({
      ...about.manifest,
      platform: { os: 'unknown', architecture: 'unknown' },
    })
    const single = await assembleTree(options, { images: [one], mediaTypes: 'oci', attestationsOf })
    expect(single.manifests).toEqual([one.image, about])
    expect(single.root.mediaType).toBe(mediaTypes.ociIndex)
  })
})
