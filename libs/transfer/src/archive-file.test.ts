import { describe, expect, it } from 'vitest'
import { isTooMuch, packingOfBytes } from './archive-file.ts'
import { makeTar } from './testing/make-tar.ts'

describe('isTooMuch()', () => {
  const gib = 2 ** 30
  it.each([
    [1000, gib, false],
    [1000, gib + 1, true],
    [gib / 100, 10 * gib, false],
    [gib / 100, 10 * gib + 1000, true],
    [200 * gib, 256 * gib, false],
    [200 * gib, 256 * gib + 1, true],
  ])('of %d bytes that become %d says %s', (packed, unpacked, wanted) => {
    expect(isTooMuch(packed, unpacked)).toBe(wanted)
  })
})

describe('packingOfBytes()', () => {
  it('knows archives by how they begin, also old ones without a mark', () => {
    const tar = makeTar([{ name: 'a', data: 'x' }])
    const old = Buffer.from(tar)
    old.fill(0, 257, 265)
    const sum = old
      .subarray(0, 512)
      .reduce((total, byte, at) => total + (at < 148 || at >= 156 ? byte : 32), 0)
    old.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    expect([tar, old, Buffer.alloc(1024)].map(packingOfBytes)).toEqual(['none', 'none', 'none'])
    const others = ['1f8b08', '28b52ffd', 'fd377a585a00', '425a68', '', '7b7d'].map((hex) =>
      packingOfBytes(Buffer.from(hex, 'hex')),
    )
    expect(others).toEqual(['gzip', 'zstd', 'unknown', 'unknown', 'unknown', 'unknown'])
    old.write('7', 148)
    expect(packingOfBytes(old)).toBe('unknown')
  })
})
