import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { parsePayload, serializePayload } from './payload.ts'

const digest = digestBytes(Buffer.from('image'))
const good = {
  critical: {
    identity: { 'docker-reference': 'host/app' },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  },
  optional: { b: '2', a: '1' },
}
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))

describe('serializePayload()', () => {
  it('gives the bytes that cosign gives', () => {
    expect(serializePayload('host/app', digest, {}).toString()).toBe(
      `{"critical":{"identity":{"docker-reference":"host/app"},"image":{"docker-manifest-digest":"${digest}"},"type":"cosign container image signature"},"optional":null}`,
    )
    expect(serializePayload('host/app', digest, { b: '2', a: '1' }).toString()).toMatch(
      /"optional":\{"a":"1","b":"2"\}\}$/,
    )
  })
})

describe('parsePayload()', () => {
  it('reads what was written', () => {
    const written = serializePayload('host/app', digest, { b: '2', a: '1' })
    expect(parsePayload(written)).toEqual({ identity: 'host/app', digest, annotations: { a: '1', b: '2' } })
    expect(parsePayload(bytes({ critical: good.critical }))?.annotations).toEqual({})
  })

  it.each<[string, unknown]>([
    ['no JSON', '{'],
    ['a list', []],
    ['another type', { ...good, critical: { ...good.critical, type: 'atomic container signature' } }],
    ['a critical member that nobody knows', { ...good, critical: { ...good.critical, until: 2020 } }],
    ['a member beside the two', { ...good, more: 1 }],
    ['no digest', { ...good, critical: { ...good.critical, image: {} } }],
    [
      'a digest that is no text',
      { ...good, critical: { ...good.critical, image: { 'docker-manifest-digest': 1 } } },
    ],
    ['annotations that are none', { ...good, optional: 'x' }],
    [
      'a name twice',
      JSON.stringify(good).replace('"image":', '"image":{"docker-manifest-digest":"x"},"image":'),
    ],
    [
      'bytes that are no UTF-8',
      Buffer.concat([Buffer.from('{"critical":"'), Buffer.from([0xff]), Buffer.from('"}')]),
    ],
  ])('refuses %s', (_what, value) => {
    expect(parsePayload(Buffer.isBuffer(value) ? value : bytes(value))).toBeUndefined()
  })
})
