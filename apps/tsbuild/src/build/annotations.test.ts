import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { parseAnnotation } from './annotations.ts'
import { parseOutput } from './output-spec.ts'

describe('parseAnnotation()', () => {
  it.each([
    ['a=b', [{ level: 'manifest', key: 'a', value: 'b' }]],
    ['a=', [{ level: 'manifest', key: 'a', value: '' }]],
    ['a=b=c:d', [{ level: 'manifest', key: 'a', value: 'b=c:d' }]],
    ['manifest:org.x=b', [{ level: 'manifest', key: 'org.x', value: 'b' }]],
    ['index:a=b', [{ level: 'index', key: 'a', value: 'b' }]],
    ['index-descriptor:a=b', [{ level: 'index-descriptor', key: 'a', value: 'b' }]],
    [
      'manifest-descriptor[linux/arm/v7]:a=b',
      [{ level: 'manifest-descriptor', platform: 'linux/arm/v7', key: 'a', value: 'b' }],
    ],
    [
      'index,manifest[linux/amd64]:a=b',
      [
        { level: 'index', key: 'a', value: 'b' },
        { level: 'manifest', platform: 'linux/amd64', key: 'a', value: 'b' },
      ],
    ],
    ['a', 'ERR_USAGE'],
    ['=b', 'ERR_USAGE'],
    ['index:=b', 'ERR_USAGE'],
    ['layer:a=b', 'ERR_USAGE'],
    ['manifest[]:a=b', 'ERR_USAGE'],
    ['index,:a=b', 'ERR_USAGE'],
    ['manifest[linux/amd64:a=b', 'ERR_USAGE'],
  ])('reads %j', (text, expected) => {
    if (typeof expected === 'string')
      expect(() => parseAnnotation(text)).toThrow(expect.objectContaining({ code: expected }))
    else expect(parseAnnotation(text)).toEqual(expected)
  })
})

describe('parseOutput() and annotations', () => {
  const parse = (text: string) => parseOutput(text, { cwd: '/src', stdout: new PassThrough() })

  it.each([
    ['annotation.Org.Key=v', { level: 'manifest', key: 'Org.Key', value: 'v' }],
    ['annotation-manifest.a.b=v=w', { level: 'manifest', key: 'a.b', value: 'v=w' }],
    ['annotation-index.a=v', { level: 'index', key: 'a', value: 'v' }],
    [
      'annotation-manifest-descriptor[linux/arm64].a=v',
      { level: 'manifest-descriptor', platform: 'linux/arm64', key: 'a', value: 'v' },
    ],
    ['annotation-index-descriptor.a=v', { level: 'index-descriptor', key: 'a', value: 'v' }],
  ])('reads %s', (attribute, expected) => {
    expect(parse(`type=oci,dest=x,${attribute}`)).toEqual({
      type: 'oci',
      dest: '/src/x',
      annotations: [expected],
    })
  })

  it.each([
    'type=oci,dest=x,annotation-layer.a=v',
    'type=oci,dest=x,annotation=v',
    'type=oci,dest=x,annotation.=v',
    'type=oci,dest=x,annotation[.a=v',
    'type=local,dest=x,annotation.a=v',
    'type=cacheonly,annotation.a=v',
  ])('refuses %s', (text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })
})
