import { describe, expect, it } from 'vitest'
import { compressionOf, epochOf, formOf } from './output-form.ts'
import type { ImageSettings } from './output-types.ts'

const typesOf = (settings: ImageSettings, annotations = 0) => {
  const spec = { level: 'manifest', key: 'k', value: 'v' } as const
  return formOf({ type: 'image', ...settings }, { annotations: Array(annotations).fill(spec) }).mediaTypes
}

describe('formOf()', () => {
  it.each([
    [{}, 0, 'oci'],
    [{ ociMediaTypes: false }, 0, 'docker'],
    [{ compatibilityVersion: 20 }, 0, 'docker'],
    [{ compatibilityVersion: 30 }, 0, 'oci'],
    [{ compatibilityVersion: 10, ociMediaTypes: true }, 0, 'oci'],
    [{ compatibilityVersion: 10, compression: { type: 'zstd' } }, 0, 'oci'],
    [{ compatibilityVersion: 10, compression: { type: 'estargz' } }, 0, 'oci'],
    [{ compatibilityVersion: 10 }, 1, 'oci'],
  ] as const)('of %j with %i annotations has the media types of %s', (settings, annotations, expected) => {
    expect(typesOf(settings, annotations)).toBe(expected)
  })

  it.each([
    [{ ociMediaTypes: false, compression: { type: 'zstd' } }, 0],
    [{ ociMediaTypes: false, compression: { type: 'estargz' } }, 0],
    [{ ociMediaTypes: false }, 1],
    [{ ociMediaTypes: false, annotations: [{ level: 'index', key: 'a', value: 'b' }] }, 0],
  ] as const)('of %j with %i annotations contradicts itself', (settings, annotations) => {
    expect(() => typesOf(settings, annotations)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })
})

describe('compressionOf()', () => {
  it.each([
    [undefined, { format: 'gzip', level: 6 }],
    [
      { type: 'gzip', level: 0 },
      { format: 'gzip', level: 0 },
    ],
    [{ type: 'zstd' }, { format: 'zstd', level: 3 }],
    [{ type: 'estargz' }, { format: 'estargz', level: 9 }],
    [{ type: 'uncompressed' }, { format: 'none', level: 0 }],
  ] as const)('of %j is %j', (spec, expected) => {
    expect(compressionOf(spec)).toEqual(expected)
  })
})

describe('epochOf()', () => {
  it.each([
    [undefined, 5, 5],
    [0, 5, 0],
    [null, 5, undefined],
    [undefined, undefined, undefined],
  ])('of an output that says %j in a build that says %j is %j', (own, build, expected) => {
    expect(epochOf({ sourceDateEpoch: own }, { sourceDateEpoch: build })).toBe(expected)
  })
})
