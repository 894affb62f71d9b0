import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { annotationText, outputText } from './output-text.ts'

describe('outputText()', () => {
  it.each([
    [{ type: 'cacheonly' }, 'type=cacheonly'],
    [{ type: 'tar', dest: new PassThrough(), platformSplit: false }, 'type=tar,dest=-,platform-split=false'],
    [
      {
        type: 'oci',
        dest: '/a,b',
        tar: false,
        compression: { type: 'zstd', level: 0 },
        sourceDateEpoch: null,
      },
      'type=oci,"dest=/a,b",compression=zstd,compression-level=0,tar=false,source-date-epoch=',
    ],
    [
      { type: 'registry', names: ['a', 'b'], insecure: true, sourceDateEpoch: 0 },
      'type=registry,"name=a,b",registry.insecure=true,source-date-epoch=0',
    ],
    [
      {
        type: 'image',
        annotations: [
          { level: 'manifest', platform: 'linux/arm64', key: 'k', value: 'say "x"' },
          { level: 'index', key: 'k', value: 'v' },
        ],
      },
      'type=image,"annotation-manifest[linux/arm64].k=say ""x""",annotation-index.k=v',
    ],
    [
      {
        type: 'image',
        annotations: [{ level: 'manifest', key: 'source', value: 'https://me:secret@host/r.git' }],
      },
      'type=image,annotation-manifest.source=https://***@host/r.git',
    ],
  ] as const)('of %j is %s', (output, expected) => {
    expect(outputText(output)).toBe(expected)
  })
})

describe('annotationText()', () => {
  it.each([
    [{ level: 'manifest', key: 'k', value: 'v' }, 'manifest:k=v'],
    [{ level: 'index-descriptor', key: 'k', value: '' }, 'index-descriptor:k='],
    [
      { level: 'manifest-descriptor', platform: 'linux/arm/v7', key: 'k', value: 'v' },
      'manifest-descriptor[linux/arm/v7]:k=v',
    ],
  ] as const)('of %j is %s', (annotation, expected) => {
    expect(annotationText(annotation)).toBe(expected)
  })
})
