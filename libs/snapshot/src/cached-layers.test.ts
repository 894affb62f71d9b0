import { digestBytes, parseDiffId } from '@tsbuild/digest'
import type { LayerForm } from '@tsbuild/native'
import type { StoredForm, StoredLayer } from '@tsbuild/store'
import { describe, expect, it } from 'vitest'
import { blobInForm, blobToUnpack } from './cached-layers.ts'
import type { CachedLayerRef } from './layers.ts'
import { createChains, createPlacing } from './unpacked-places.ts'

function blobOf(name: string, form: StoredForm | undefined, more: Partial<StoredLayer> = {}): StoredLayer {
  const mediaType = `application/vnd.oci.image.layer.v1.tar+${form?.format === 'zstd' ? 'zstd' : 'gzip'}`
  const tar = parseDiffId(digestBytes('tar'))
  return { mediaType, digest: digestBytes(name), size: name.length, diffId: tar, form, ...more }
}

const layerOf = (...blobs: readonly StoredLayer[]): CachedLayerRef => ({
  kind: 'cached',
  blobs,
  places: [],
  createdAt: 1,
})
const gzip = blobOf('gzip', { format: 'gzip.2', level: 6, clampMtime: null })
const zstd = blobOf('zst', { format: 'zstd', level: 3, clampMtime: null })
const clamped = blobOf('c', { format: 'gzip.2', level: 6, clampMtime: 5 })
const toc = { 'containerd.io/snapshot/stargz/toc.digest': digestBytes('toc') }
const estargz = blobOf('e', { format: 'estargz.2', level: 9, clampMtime: null }, { annotations: toc })
const foreign = blobOf('foreign', undefined)
const form = (format: 'gzip' | 'zstd', level: number, clampMtime: number | null = null): LayerForm => ({
  compression: { format, level },
  clampMtime,
})

describe('blobToUnpack()', () => {
  it('takes the files as the step left them, whatever the order and the size', () => {
    const blobs = [clamped, estargz, gzip, zstd]
    for (const each of [blobs, blobs.toReversed()])
      expect(blobToUnpack(layerOf(...each)).digest).toBe(zstd.digest)
    expect(blobToUnpack(layerOf(clamped, estargz)).digest).toBe(estargz.digest)
    expect(blobToUnpack(layerOf(clamped)).digest).toBe(clamped.digest)
  })
})

describe('blobInForm()', () => {
  it('gives the blob that is written so, and none in another form', () => {
    const layer = layerOf(gzip, zstd, clamped)
    expect(blobInForm(layer, form('gzip', 6), false)?.digest).toBe(gzip.digest)
    expect(blobInForm(layer, form('zstd', 3), false)?.digest).toBe(zstd.digest)
    expect(blobInForm(layer, form('gzip', 6, 5), false)?.digest).toBe(clamped.digest)
    for (const other of [form('gzip', 9), form('gzip', 6, 4), form('zstd', 3, 5)])
      expect(blobInForm(layer, other, false)).toBeUndefined()
  })

  it('does not give one of an earlier encoder for what it would write now', () => {
    const earlier = blobOf('earlier', { format: 'gzip', level: 6, clampMtime: null })
    expect(blobInForm(layerOf(earlier), form('gzip', 6), false)).toBeUndefined()
  })

  it('keeps one of which nobody knows how it was written, unless it has to be another', () => {
    const layer = layerOf(foreign)
    expect(blobInForm(layer, form('zstd', 3), false)?.digest).toBe(foreign.digest)
    expect(blobInForm(layer, form('gzip', 9), true)?.digest).toBe(foreign.digest)
    expect(blobInForm(layer, form('zstd', 3), true)).toBeUndefined()
    expect(blobInForm(layer, form('gzip', 6, 5), false)).toBeUndefined()
  })
})

describe('createPlacing()', () => {
  const image = (name: string) => {
    const { form: _, ...blob } = blobOf(name, undefined)
    return { ...blob, kind: 'image', reference: 'x', diffId: parseDiffId(digestBytes(name)) } as const
  }
  const cached = (name: string) => {
    const blob = { ...gzip, diffId: parseDiffId(digestBytes(name)) }
    return { ...blob, kind: 'cached-blob', layer: layerOf(blob) } as const
  }
  const [one, two] = ['1'.repeat(32), '2'.repeat(32)] as never[]

  it('names what stands upon an image by the chain, as the layers of an image made of it', () => {
    const found = createPlacing(createChains())
    found.place(image('base'), [])
    const pulled = createPlacing(createChains())
    pulled.place(image('base'), [])
    const upon = [one] as const
    expect(found.place(cached('step'), upon)).toEqual(pulled.place(image('step'), upon))
  })

  it('names what stands upon a snapshot by all that is below, and knows nothing upon what is not unpacked', () => {
    const keys = [[one], [two]].map((stack) => {
      const placing = createPlacing(createChains())
      placing.snapshot(1)
      return placing.place(cached('step'), stack as never)
    })
    expect(keys[0]?.from).toBe(0)
    expect(keys[0]?.key).not.toBe(keys[1]?.key)
    const placing = createPlacing(createChains())
    placing.snapshot(1)
    placing.place(cached('step'), [one] as never)
    expect(placing.place(cached('next'), [one, undefined] as never)).toBeUndefined()
  })

  it('begins an image anew that a merge put upon a step', () => {
    const alone = createPlacing(createChains()).place(image('base'), [])
    const merged = createPlacing(createChains())
    merged.place(cached('step'), [])
    expect(merged.place(image('base'), [one] as never)).toEqual({ ...alone, from: 1 })
  })
})
