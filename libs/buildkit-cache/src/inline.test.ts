import { type DiffId, digestBytes } from '@tsbuild/digest'
import { mediaTypes } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import { inlineCacheMember, parseInlineCache, writeCacheConfig, writeInlineCache } from './index.ts'
import type { BuildkitRecord, CacheConfig, CacheLayer } from './types.ts'

const diffId = (name: string) => digestBytes(`${name} tar`) as string as DiffId
const descriptor = (name: string) => ({
  mediaType: mediaTypes.ociLayerGzip,
  digest: digestBytes(name),
  size: 5,
})
const layer = (name: string, parent: number): CacheLayer => ({
  blob: digestBytes(name),
  parent,
  descriptor: { ...descriptor(name), annotations: { 'containerd.io/uncompressed': diffId(name) } },
  diffId: diffId(name),
  createdAt: undefined,
})
const record = (name: string, given: Partial<BuildkitRecord>): BuildkitRecord => ({
  digest: digestBytes(name),
  inputs: [],
  results: [],
  chains: [],
  ...given,
})
const upon = (place: number) => [[{ selector: '', record: place }]]
const result = (place: number) => ({ results: [{ layer: place, createdAt: 1 }] })

const config: CacheConfig = {
  layers: [layer('base', -1), layer('step', 0), layer('elsewhere', 0), layer('linked', -1)],
  records: [
    record('image', {}),
    record('step', { inputs: upon(0), ...result(1) }),
    record('other', { inputs: upon(0), ...result(2) }),
    record('linked', { inputs: upon(0), ...result(3) }),
    record('nothing', { inputs: upon(2) }),
  ],
}
const names = ['base', 'step', 'linked']
const image = names.map((name) => ({ digest: digestBytes(name), diffId: diffId(name) }))
const imageConfig = (text: string | undefined, given: object = {}) =>
  Buffer.from(
    JSON.stringify({
      rootfs: { type: 'layers', diff_ids: names.map(diffId) },
      history: [{ created: '2026-11-22T02:00:00Z' }, { created: 'x', empty_layer: true }, {}, {}],
      [inlineCacheMember]: text,
      ...given,
    }),
  )
const manifest = { layers: names.map(descriptor) }

describe('writeInlineCache()', () => {
  it('writes what parseInlineCache() reads: results of the image, by places in it, and what leads to them', () => {
    const read = parseInlineCache(imageConfig(writeInlineCache(config, image)), manifest)
    const shown = read?.records.map(({ digest, results, chains }) => ({ digest, results, chains }))
    expect(shown).toHaveLength(3)
    expect(shown).toContainEqual({ digest: digestBytes('image'), results: [], chains: [] })
    expect(shown).toContainEqual({
      digest: digestBytes('step'),
      results: [{ layer: 1, createdAt: undefined }],
      chains: [],
    })
    // It is in the image, and not upon what is below it there.
    expect(shown).toContainEqual({
      digest: digestBytes('linked'),
      results: [],
      chains: [{ layers: [2], createdAt: undefined }],
    })
    expect(read?.layers.map(({ parent, diffId: own }) => [parent, own])).toEqual([
      [-1, diffId('base')],
      [0, diffId('step')],
      [1, diffId('linked')],
    ])
    expect(read?.layers[0]?.createdAt).toBe(Date.UTC(2026, 10, 22, 2))
  })

  it('knows layers of other compression by what is in them', () => {
    const others = image.map((each) => ({ ...each, digest: undefined }))
    expect(writeInlineCache(config, others)).toBe(writeInlineCache(config, image))
  })

  it('writes nothing where no layer is of a step', () => {
    expect(writeInlineCache(config, image.slice(0, 1))).toBeUndefined()
  })
})

describe('parseInlineCache()', () => {
  it('knows that an image has none', () => {
    expect(parseInlineCache(imageConfig(undefined), manifest)).toBeUndefined()
  })

  it.each([
    ['no JSON', 'eA==', {}],
    ['a place that the image does not have', 'W3siZGlnZXN0IjoieCJ9XQ==', {}],
    ['another number of layers', writeInlineCache(config, image), { rootfs: { diff_ids: [diffId('base')] } }],
    [
      'layers that are no digests',
      writeInlineCache(config, image),
      { rootfs: { diff_ids: ['x', 'y', 'z'] } },
    ],
  ])('refuses %s', (_, text, given) => {
    expect(() => parseInlineCache(imageConfig(text, given), manifest)).toThrow(
      expect.objectContaining({ code: 'ERR_MANIFEST_INVALID' }),
    )
  })
})

describe('writeCacheConfig()', () => {
  it('names a chain of layers in one record only, as far as BuildKit 0.8 reads', () => {
    const twice = [...config.records, record('again', { inputs: upon(0), ...result(1) })]
    const written = JSON.parse(Buffer.from(writeCacheConfig({ ...config, records: twice }).bytes).toString())
    const place = written.layers.findIndex(({ blob }: { blob: string }) => blob === digestBytes('step'))
    const base = written.layers.findIndex(({ blob }: { blob: string }) => blob === digestBytes('base'))
    const naming = written.records.filter(
      ({ layers = [] }: { layers?: { layer: number }[] }) => layers[0]?.layer === place,
    )
    const chained = written.records.filter(({ chains = [] }: { chains?: object[] }) => chains.length > 0)
    expect(naming).toHaveLength(1)
    expect(chained.map(({ chains }: { chains: { layers: number[] }[] }) => chains[0]?.layers)).toEqual([
      [base, place],
    ])
  })
})
