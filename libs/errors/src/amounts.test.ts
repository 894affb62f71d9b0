import { describe, expect, it } from 'vitest'
import { durationText, sizeText } from './index.ts'

describe('sizeText()', () => {
  it.each([
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1 KiB'],
    [512 * 1024 ** 2, '512 MiB'],
    [7.5 * 1024 ** 3, '7.5 GiB'],
    [1024 ** 6, '1024 PiB'],
  ])('sizeText() writes %d as %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text)
  })
})

describe('durationText()', () => {
  it.each([
    [200, '200ms'],
    [1000, '1s'],
    [1500, '1.5s'],
    [600_000, '10m'],
    [5_400_000, '1h30m'],
    [3_600_000, '1h'],
    [90_061_000, '25h1m1s'],
  ])('durationText() writes %d ms as %s', (ms, text) => {
    expect(durationText(ms)).toBe(text)
  })
})
