import { digestBytes } from '@tsbuild/digest'
import { mediaTypes, parseManifestOrIndex } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import {
  cacheConfigType,
  parseCacheConfig,
  readCacheManifest,
  writeCacheConfig,
  writeCacheManifest,
} from './index.ts'

const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(digestBytes) as [never, never, never, never]
const layer = (digest: typeof a) => ({
  mediaType: mediaTypes.ociLayerGzip,
  digest,
  size: 5,
  annotations: { 'containerd.io/uncompressed': d, 'buildkit/createdat': '2026-11-22T02:00:00.5Z' },
})
const bytesOf = (value: object) => Buffer.from(JSON.stringify(value))
const parse = (value: object) => parseCacheConfig(bytesOf(value), [layer(a), layer(b)])

describe('parseCacheConfig()', () => {
  it('reads layers with what the manifest says of them, and records', () => {
    const { config, members } = parse({
      layers: [{ blob: a, parent: -1 }, { blob: b }],
      records: [
        { digest: c },
        {
          layers: [{ layer: 1, createdAt: '2026-11-22T02:00:01.123456789Z' }],
          digest: d,
          inputs: [[{ link: 0 }, { selector: c, link: 0 }]],
        },
      ],
      mine: { kept: true },
    })
    expect(config.layers.map(({ blob, parent, diffId }) => ({ blob, parent, diffId }))).toEqual([
      { blob: a, parent: -1, diffId: d },
      { blob: b, parent: 0, diffId: d },
    ])
    expect(config.layers[0]?.createdAt).toBe(Date.UTC(2026, 10, 22, 2, 0, 0, 500))
    expect(config.records).toEqual([
      { digest: c, inputs: [], results: [], chains: [] },
      {
        digest: d,
        inputs: [
          [
            { selector: '', record: 0 },
            { selector: c, record: 0 },
          ],
        ],
        results: [{ layer: 1, createdAt: Date.UTC(2026, 10, 22, 2, 0, 1, 123) }],
        chains: [],
      },
    ])
    expect(members).toEqual({ mine: { kept: true } })
  })

  it('leaves out results upon layers that nothing describes, and takes what describes itself', () => {
    const annotations = {
      mediaType: mediaTypes.ociLayer,
      diffID: d,
      size: 7,
      createdAt: '2026-11-22T02:00:00Z',
    }
    const { config } = parse({
      layers: [
        { blob: c, parent: -1 },
        { blob: a, parent: 0 },
        { blob: d, parent: -1, annotations },
        { blob: b, parent: 2 },
      ],
      records: [
        { digest: c, layers: [{ layer: 1 }, { layer: 3 }], chains: [{ layers: [3, 0] }, { layers: [3, 2] }] },
      ],
    })
    expect(config.layers.map(({ blob, parent, diffId }) => [blob, parent, diffId])).toEqual([
      [d, -1, d],
      [b, 0, d],
    ])
    expect(config.records[0]).toMatchObject({ results: [{ layer: 1 }], chains: [{ layers: [1, 0] }] })
  })

  it.each([
    ['no list of layers', { layers: {} }, /layers is not a list/],
    ['a blob that is no digest', { layers: [{ blob: 'x' }] }, /layers is not a list/],
    ['a place of a layer that is not there', { layers: [{ blob: a, parent: 1 }] }, /no layer 1/],
    ['a parent before the first', { layers: [{ blob: a, parent: -2 }] }, /no layer -2/],
    ['a result that is not there', { records: [{ digest: c, layers: [{ layer: 0 }] }] }, /no layer 0/],
    ['a chain that is not there', { records: [{ digest: c, chains: [{ layers: [9] }] }] }, /no layer 9/],
    ['a record that is not there', { records: [{ digest: c, inputs: [[{ link: 7 }]] }] }, /no record 7/],
    [
      'a place that is no number',
      { records: [{ digest: c, inputs: [[{ link: '0' }]] }] },
      /records is not a list/,
    ],
    ['an input without alternatives', { records: [{ digest: c, inputs: [[]] }] }, /without any alternative/],
    ['a layer upon itself', { layers: [{ blob: a, parent: 0 }] }, /layers go in circles/],
    [
      'records upon each other',
      {
        records: [
          { digest: c, inputs: [[{ link: 1 }]] },
          { digest: d, inputs: [[{ link: 0 }]] },
        ],
      },
      /records go in circles/,
    ],
  ])('refuses %s', (_, value, message) => {
    expect(() => parse(value)).toThrow(
      expect.objectContaining({ code: 'ERR_MANIFEST_INVALID', message: expect.stringMatching(message) }),
    )
  })

  it('goes along a chain as long as a document can hold', () => {
    const records = Array.from({ length: 25_000 }, (_, link) => ({
      digest: c,
      ...(link === 0 ? {} : { inputs: [[{ link: link - 1 }]] }),
    }))
    const { config } = parse({ records: records.map(({ digest, ...rest }) => ({ ...rest, digest })) })
    expect(config.records).toHaveLength(25_000)
    expect(writeCacheConfig(config).bytes.length).toBeGreaterThan(1_000_000)
  })

  it('refuses a document beyond 4 MiB', () => {
    expect(() => parse({ x: 'x'.repeat(4 * 1024 * 1024) })).toThrow(/larger than/)
  })
})

describe('writeCacheConfig()', () => {
  it('writes no more of a long chain that every record names than a document can hold', () => {
    const blobs = Array.from({ length: 2000 }, (_, place) => digestBytes(`layer ${place}`))
    const descriptors = blobs.map((blob) => ({ ...layer(a), digest: blob }))
    const records = blobs.map((_, place) => ({
      digest: digestBytes(`record ${place}`),
      layers: [{ layer: blobs.length - 1 }],
    }))
    const layers = blobs.map((blob, place) => ({ blob, parent: place - 1 }))
    const { config } = parseCacheConfig(bytesOf({ layers, records }), descriptors)
    const written = writeCacheConfig(config)
    expect(written.layers).toHaveLength(blobs.length)
    // Without a bound 2,000 chains of 2,000 places are 19 MB.
    expect(written.bytes.length).toBeLessThan(5_000_000)
  })

  const parent = { digest: c }
  const value = {
    layers: [
      { blob: b, parent: 1 },
      { blob: a, parent: -1 },
      { blob: b, parent: 1 },
      { blob: b, parent: -1 },
    ],
    records: [
      { digest: d, inputs: [[{ link: 2 }]], layers: [{ layer: 0, createdAt: '2026-11-22T02:00:00Z' }] },
      { digest: d, inputs: [[{ link: 1 }]], layers: [{ layer: 2, createdAt: '2026-11-22T03:00:00Z' }] },
      parent,
    ],
  }
  value.records.splice(1, 0, parent)
  value.records[0] = { ...value.records[0], inputs: [[{ link: 3 }]] } as never

  it('writes each layer and record once, the newest result, nothing that none needs, and other members', () => {
    const { bytes, layers } = writeCacheConfig(parse(value).config, { mine: 1 })
    const written = JSON.parse(Buffer.from(bytes).toString())
    expect(written.mine).toBe(1)
    expect(layers.map(({ digest }) => digest)).toEqual([a, b].sort())
    expect(written.layers).toHaveLength(2)
    expect(written.records).toHaveLength(2)
    expect(written.records.find((record: { digest: string }) => record.digest === d).layers).toEqual([
      {
        layer: written.layers.findIndex((each: { blob: string }) => each.blob === b),
        createdAt: '2026-11-22T03:00:00Z',
      },
    ])
  })

  it('gives the same bytes in whatever order they were, and for what it wrote', () => {
    const { config } = parse(value)
    const { bytes, layers } = writeCacheConfig(config)
    const last = config.records.length - 1
    const turned = {
      layers: config.layers,
      records: config.records.toReversed().map((record) => ({
        ...record,
        inputs: record.inputs.map((links) => links.map((link) => ({ ...link, record: last - link.record }))),
      })),
    }
    expect(writeCacheConfig(turned).bytes).toEqual(bytes)
    expect(writeCacheConfig(parseCacheConfig(bytes, layers).config).bytes).toEqual(bytes)
  })
})

describe('writeCacheManifest()', () => {
  const config = { mediaType: cacheConfigType, digest: c as never, size: 9 }
  it.each([
    [{ imageManifest: true, ociMediaTypes: true }, mediaTypes.ociManifest, mediaTypes.ociLayerGzip],
    [{ imageManifest: false, ociMediaTypes: true }, mediaTypes.ociIndex, mediaTypes.ociLayerGzip],
    [
      { imageManifest: false, ociMediaTypes: false },
      mediaTypes.dockerManifestList,
      mediaTypes.dockerLayerGzip,
    ],
  ])('writes what readCacheManifest() reads: %j', (form, type, layerType) => {
    const { mediaType, bytes } = writeCacheManifest({ config, layers: [layer(a), layer(b)] }, form)
    expect(mediaType).toBe(type)
    const read = readCacheManifest(parseManifestOrIndex(bytes, mediaType))
    expect(read?.config).toMatchObject(config)
    expect(read?.layers.map((each) => [each.digest, each.mediaType])).toEqual([
      [a, layerType],
      [b, layerType],
    ])
  })

  it('readCacheManifest() knows what is an image', () => {
    const image = {
      schemaVersion: 2,
      config: { mediaType: mediaTypes.ociConfig, digest: a, size: 1 },
      layers: [],
    }
    expect(readCacheManifest(parseManifestOrIndex(bytesOf(image)))).toBeUndefined()
  })
})
