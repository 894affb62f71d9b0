import { describe, expect, it } from 'vitest'
import { parseDuration } from './duration.ts'

describe('parseDuration()', () => {
  it.each([
    ['30m', 1_800_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['200ms', 200],
    ['1h0m0s', 3_600_000],
  ])('parseDuration() reads %s as %d ms', (text, ms) => {
    expect(parseDuration('--timeout', text)).toBe(ms)
  })

  it.each(['', '0', '0s', '30', 'm', '-1s', '1 m', '1m!', 'x1m', '25d', '600h', '1e3s'])(
    'parseDuration() refuses "%s"',
    (text) => {
      expect(() => parseDuration('--timeout', text)).toThrow(
        expect.objectContaining({
          code: 'ERR_USAGE',
          message: expect.stringContaining(`Cannot use value "${text}" of --timeout: expected a time`),
        }),
      )
    },
  )
})
