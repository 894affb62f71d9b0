import { digestBytes, parseDiffId } from '@tsbuild/digest'
import type { Compression, LayerForm, Native } from '@tsbuild/native'
import { mediaTypes } from '@tsbuild/oci'
import type { ImageLayerRef, LayerRef, Snapshotter } from '@tsbuild/snapshot'
import type { SnapshotId, Store } from '@tsbuild/store'
import { beforeEach, describe, expect, it } from 'vitest'
import { assembleLayer } from './assemble-layer.ts'
import type { ExportContext, ExporterOptions, ImageForm } from './index.ts'

const blob = {
  mediaType: mediaTypes.ociLayerGzip,
  digest: digestBytes('made'),
  size: 7,
  diffId: parseDiffId(digestBytes('made, unpacked')),
}
const own: LayerRef = { kind: 'snapshot', id: 's' as SnapshotId, createdAt: 0 }
const base = (mediaType: string): ImageLayerRef => ({
  kind: 'image',
  reference: 'registry.test/base:1',
  mediaType,
  digest: digestBytes('base'),
  size: 4,
  diffId: parseDiffId(digestBytes('base, unpacked')),
})

const plain: ImageForm = {
  compression: { format: 'gzip', level: 6 },
  forceCompression: false,
  mediaTypes: 'oci',
  preferNonDistributable: false,
  rewriteTimestamp: undefined,
}
const context: ExportContext = {
  vertex: digestBytes('export'),
  events: () => {},
  now: () => 0,
  signal: new AbortController().signal,
}

let written: LayerForm[]
let converted: Compression[]
let options: ExporterOptions
let annotations: Readonly<Record<string, string>> | undefined
beforeEach(() => {
  written = []
  converted = []
  annotations = undefined
  const snapshotter: Partial<Snapshotter> = {
    layerBlob: async (_, form) => {
      written.push(form)
      return { ...blob, ...(annotations && { annotations }) }
    },
    convertLayer: async (_, compression) => {
      converted.push(compression)
      return blob
    },
  }
  options = {
    store: {} as Store,
    native: {} as Native,
    snapshotter: snapshotter as Snapshotter,
    registry: () => {
      throw new Error('not expected')
    },
    fetch: () => Promise.reject(new Error('not expected')),
  }
})

const assemble = (layer: LayerRef, form: Partial<ImageForm> = {}, sourceDateEpoch?: number) =>
  assembleLayer(options, layer, { form: { ...plain, ...form }, sourceDateEpoch }, context)
const descriptorOf = async (...args: Parameters<typeof assemble>) =>
  (await assemble(...args)).layer.descriptor

describe('assembleLayer() of a base image', () => {
  it.each([
    [mediaTypes.dockerLayerGzip, {}, mediaTypes.ociLayerGzip],
    [mediaTypes.ociLayerZstd, {}, mediaTypes.ociLayerZstd],
    [mediaTypes.ociLayerGzip, { mediaTypes: 'docker' }, mediaTypes.dockerLayerGzip],
    [mediaTypes.ociLayer, { mediaTypes: 'docker' }, mediaTypes.dockerLayer],
    [mediaTypes.dockerForeignLayerGzip, {}, mediaTypes.ociLayerGzip],
    [
      mediaTypes.dockerForeignLayerGzip,
      { preferNonDistributable: true },
      mediaTypes.ociNonDistributableLayerGzip,
    ],
    [
      mediaTypes.ociNonDistributableLayer,
      { preferNonDistributable: true, mediaTypes: 'docker' },
      mediaTypes.dockerForeignLayer,
    ],
    [mediaTypes.ociLayerGzip, { preferNonDistributable: true }, mediaTypes.ociLayerGzip],
  ] as const)('calls %s in an image of %j %s, and does nothing else', async (written_, form, expected) => {
    const layer = base(written_)
    const { digest, size, diffId } = layer
    expect(await assemble(layer, form)).toEqual({
      layer: { descriptor: { mediaType: expected, digest, size }, origin: layer },
      diffId,
    })
    expect(converted).toEqual([])
  })

  it("has no name for zstd in Docker's types", async () => {
    await expect(assemble(base(mediaTypes.ociLayerZstd), { mediaTypes: 'docker' })).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
    })
  })

  it.each([
    [mediaTypes.ociLayerGzip, 'gzip', false],
    [mediaTypes.dockerLayerGzip, 'gzip', false],
    [mediaTypes.ociLayerZstd, 'gzip', true],
    [mediaTypes.ociLayerGzip, 'zstd', true],
    [mediaTypes.ociLayerGzip, 'estargz', true],
    [mediaTypes.ociLayer, 'none', false],
    [mediaTypes.ociLayerGzip, 'none', true],
  ] as const)('converts %s with force-compression to %s: %s', async (mediaType, format, isConverted) => {
    const compression = { format, level: 1 }
    const made = await assemble(base(mediaType), { forceCompression: true, compression })
    expect(converted).toEqual(isConverted ? [compression] : [])
    expect(made.layer.descriptor.digest).toBe(isConverted ? blob.digest : digestBytes('base'))
    expect(made.diffId === blob.diffId).toBe(isConverted)
  })
})

describe('assembleLayer() of this build', () => {
  it('writes it as the output says', async () => {
    const compression = { format: 'zstd', level: 19 } as const
    const { digest, size, mediaType, diffId } = blob
    expect(await assemble(own, { compression })).toEqual({
      layer: { descriptor: { mediaType, digest, size }, origin: undefined },
      diffId,
    })
    expect(written).toEqual([{ compression, clampMtime: null }])
  })

  it.each([
    [undefined, undefined, null],
    [undefined, 5, 5],
    [true, 5, 5],
    [false, 5, null],
  ])(
    'with rewrite-timestamp %j and the epoch %j has no time after %j',
    async (rewriteTimestamp, epoch, clamp) => {
      const descriptor = await descriptorOf(own, { rewriteTimestamp }, epoch)
      expect(written.map(({ clampMtime }) => clampMtime)).toEqual([clamp])
      expect(descriptor.annotations).toEqual(
        clamp === null ? undefined : { 'buildkit/rewritten-timestamp': String(clamp) },
      )
    },
  )

  it('refuses to rewrite times to none', async () => {
    await expect(assemble(own, { rewriteTimestamp: true })).rejects.toMatchObject({ code: 'ERR_USAGE' })
    expect(written).toEqual([])
  })

  it("keeps what its form says of it, but not in Docker's manifests, which have no annotations", async () => {
    annotations = { 'containerd.io/snapshot/stargz/toc.digest': 'sha256:1' }
    expect((await descriptorOf(own)).annotations).toEqual(annotations)
    expect(await descriptorOf(own, { mediaTypes: 'docker' })).toEqual({
      mediaType: mediaTypes.dockerLayerGzip,
      digest: blob.digest,
      size: blob.size,
    })
  })
})
