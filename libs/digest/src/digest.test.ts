import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import {
  canonical,
  chainIdOf,
  chainUpon,
  digestBytes,
  digestKey,
  parseDiffId,
  parseDigest,
  verifyingStream,
} from './index.ts'

const empty = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

describe('digest', () => {
  it('digestBytes() gives the published value for no bytes', () => {
    expect(digestBytes('')).toBe(empty)
  })

  it.each([
    '',
    'sha256:',
    'sha256:../../x',
    empty.toUpperCase(),
    `${empty}0`,
    empty.slice(0, -1),
    `sha512:${empty.slice(7)}`,
    ` ${empty}`,
    `${empty}\n`,
  ])('parseDigest() refuses %j', (text) => {
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'ERR_DIGEST_INVALID' }))
  })

  it('chainIdOf() is the layer itself for one layer and chains from there', () => {
    const a = parseDiffId(digestBytes('a'))
    const b = parseDiffId(digestBytes('b'))
    expect(chainIdOf([])).toBeUndefined()
    expect(chainIdOf([a])).toBe(a)
    expect(chainIdOf([a, b])).toBe(digestBytes(`${a} ${b}`))
    expect(chainUpon(chainIdOf([a]), b)).toBe(chainIdOf([a, b]))
    expect(chainUpon(undefined, a)).toBe(a)
    expect(chainIdOf([b, a])).not.toBe(chainIdOf([a, b]))
  })
})

describe('canonical', () => {
  it('canonical() does not depend on the order of members and leaves undefined out', () => {
    expect(canonical({ b: 1, a: ['x', null, true], c: undefined })).toBe('{"a":["x",null,true],"b":1}')
  })

  it('canonical() refuses what has no one text form', () => {
    expect(() => canonical(0.5)).toThrow(TypeError)
    expect(() => canonical([undefined])).toThrow(TypeError)
  })

  it('digestKey() keeps domains apart and is pinned', () => {
    expect(digestKey('a', { x: 1 })).not.toBe(digestKey('b', { x: 1 }))
    expect(digestKey('test.v1', { x: 1 })).toBe(digestBytes('test.v1\n{"x":1}'))
  })
})

describe('verifyingStream', () => {
  const run = async (text: string, expected: Parameters<typeof verifyingStream>[0]) => {
    const verify = verifyingStream(expected, 'blob')
    const [, bytes] = await Promise.all([
      pipeline(Readable.from([Buffer.from(text)]), verify),
      buffer(verify),
    ])
    return bytes.toString()
  }

  it('passes the right bytes', async () => {
    expect(await run('abc', { digest: digestBytes('abc'), size: 3 })).toBe('abc')
  })

  it('fails for other bytes, for too many and for too few', async () => {
    await expect(run('abd', { digest: digestBytes('abc'), size: 3 })).rejects.toMatchObject({
      code: 'ERR_DIGEST_MISMATCH',
    })
    await expect(run('abcd', { digest: digestBytes('abc'), size: 3 })).rejects.toMatchObject({
      code: 'ERR_SIZE_MISMATCH',
    })
    await expect(run('ab', { digest: digestBytes('abc'), size: 3 })).rejects.toMatchObject({
      code: 'ERR_SIZE_MISMATCH',
    })
  })
})
