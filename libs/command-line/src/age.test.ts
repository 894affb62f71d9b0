import { describe, expect, it } from 'vitest'
import { parseAge } from './age.ts'

describe('parseAge()', () => {
  it.each([
    ['30d', 30 * 86_400_000],
    ['1w', 7 * 86_400_000],
    ['720h', 30 * 86_400_000],
    ['1d12h30m5s1ms', 131_405_001],
    ['0.5d', 43_200_000],
    ['0s', 0],
  ])('reads %s', (text, ms) => {
    expect(parseAge('--older-than', text)).toBe(ms)
  })

  it.each(['', '30', 'd', '1y', '-1d', '1d ', ' 1d', '1d2', '999999999w999999999w'])('refuses %j', (text) => {
    expect(() => parseAge('--older-than', text)).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE', message: expect.stringContaining('--older-than') }),
    )
  })
})
