import { digestBytes } from '@tsbuild/digest'
import type { CacheRecord } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { decodeRecord, encodeRecord } from './index.ts'

const record: CacheRecord = {
  outputKey: digestBytes('output'),
  name: '[build 2/4] RUN echo "é\ud800\u2028"',
  op: { kind: 'exec.v1', args: ['/bin/sh', '-c', 'x\n'], env: [], nothing: null },
  inputs: [
    { kind: 'result', key: digestBytes('a') },
    { kind: 'result', key: digestBytes('a'), selector: { sources: ['x'] } },
    { kind: 'source', key: { kind: 'image', manifest: digestBytes('m') }, selector: null },
    { kind: 'content', digest: digestBytes('c'), preimage: { sources: ['.'] } },
  ],
  stored: { snapshot: '0'.repeat(32), createdAt: 5 },
  createdAt: 1_700_000_000_000,
  durationMs: 0,
}
const text = encodeRecord(record)
const fields: Readonly<Record<string, unknown>> = JSON.parse(text)
const digest = digestBytes('x')

describe('decodeRecord()', () => {
  it('decodeRecord() gives back what encodeRecord() was given', () => {
    expect(decodeRecord(text)).toEqual(record)
    expect(decodeRecord(encodeRecord({ ...record, inputs: [] }))).toEqual({ ...record, inputs: [] })
  })

  it('decodeRecord() gives back what explains a record, and passes over names that make no sense', () => {
    const explained = {
      ...record,
      inputNames: ['FROM a', 'FROM b', 'c', 'd'],
      about: { args: ['VERSION'], build: '/src Dockerfile' },
    }
    expect(decodeRecord(encodeRecord(explained))).toEqual(explained)
    const { inputNames: _, ...unnamed } = explained
    for (const inputNames of [['one'], [1, 2, 3, 4], 'x', null]) {
      expect(decodeRecord(JSON.stringify({ format: 1, ...explained, inputNames }))).toEqual(unnamed)
    }
  })

  it('encodeRecord() writes its format, readable lines, and drops members that are undefined', () => {
    expect(text).toMatch(/^\{\n "format": 1,\n "outputKey": "sha256:/)
    const selector = encodeRecord({
      ...record,
      inputs: [{ kind: 'result', key: digest, selector: undefined }],
    })
    expect(decodeRecord(selector)?.inputs).toEqual([{ kind: 'result', key: digest }])
  })

  it('decodeRecord() ignores what a later version adds', () => {
    expect(decodeRecord(JSON.stringify({ ...fields, origin: 'x' }))).toEqual(record)
  })

  it('decodeRecord() misses when the text ends early, wherever that is', () => {
    const bytes = Buffer.from(text)
    const complete = bytes.length - 1 // only the last line feed is no part of the JSON
    const read = Array.from({ length: complete }, (_, length) =>
      decodeRecord(bytes.subarray(0, length).toString()),
    )
    expect(read.filter((found) => found !== undefined)).toEqual([])
    expect(decodeRecord(bytes.subarray(0, complete).toString())).toEqual(record)
  })

  it('decodeRecord() never throws and never gives a malformed record when a byte is damaged', () => {
    const bytes = Buffer.from(text)
    for (const at of bytes.keys()) {
      for (const flip of [0x01, 0x20, 0x80]) {
        const damaged = Buffer.from(bytes)
        damaged[at] = (bytes[at] ?? 0) ^ flip
        const found = decodeRecord(damaged.toString())
        if (found !== undefined) expect(decodeRecord(encodeRecord(found))).toEqual(found)
      }
    }
  })

  it.each([
    [''],
    ['null'],
    ['[]'],
    ['1'],
    ['"x"'],
    ['{}'],
    ['{"format":1}'],
    [`${text}x`],
    ['\0'.repeat(64)],
  ])('decodeRecord() misses for %j', (other) => {
    expect(decodeRecord(other)).toBeUndefined()
  })

  it.each(Object.keys(fields))('decodeRecord() misses when %s is absent, null or of another type', (name) => {
    const { [name]: _, ...rest } = fields
    expect(decodeRecord(JSON.stringify(rest))).toBeUndefined()
    if (name === 'op' || name === 'stored') return
    for (const wrong of [null, true, {}, 'x', -1, 1.5]) {
      if (name === 'name' && wrong === 'x') continue
      expect(decodeRecord(JSON.stringify({ ...fields, [name]: wrong })), `${wrong}`).toBeUndefined()
    }
  })

  it.each([
    ['a number without end', text.replace('1700000000000', '1e999')],
    ['the next format', text.replace('"format": 1', '"format": 2')],
    ['a format in quotes', text.replace('"format": 1', '"format": "1"')],
  ])('decodeRecord() misses for %s', (_, other) => {
    expect(other).not.toBe(text)
    expect(decodeRecord(other)).toBeUndefined()
  })

  it.each<[string, unknown]>([
    ['null', null],
    ['a digest', digest],
    ['no kind', { key: digest }],
    ['another kind', { kind: 'results', key: digest }],
    ['a result without a key', { kind: 'result' }],
    ['a result with a short key', { kind: 'result', key: digest.slice(0, -1) }],
    ['a result with a key of another algorithm', { kind: 'result', key: digest.replace('256', '512') }],
    ['a source without a key', { kind: 'source' }],
    ['content without a digest', { kind: 'content', preimage: 1 }],
    ['content without a preimage', { kind: 'content', digest }],
    ['content with a number for a digest', { kind: 'content', digest: 1, preimage: 1 }],
  ])('decodeRecord() misses when an input is %s', (_, input) => {
    expect(decodeRecord(JSON.stringify({ ...fields, inputs: [input] }))).toBeUndefined()
  })
})
