import { describe, expect, it } from 'vitest'
import { durationMs } from './index.ts'

describe('durationMs()', () => {
  it.each([
    ['0s', 0],
    ['250ms', 250],
    ['1.5s', 1500],
    ['1h30m', 5_400_000],
    ['30d', 2_592_000_000],
    ['1w12h', 648_000_000],
  ])('reads %s', (text, ms) => {
    expect(durationMs(text)).toBe(ms)
  })

  it.each(['', '5', 'h', '-1h', '1h ', '1y', '1h30', '999999999w999999999w'])('takes %j for none', (text) => {
    expect(durationMs(text)).toBeUndefined()
  })

  it('knows only the units that are allowed', () => {
    expect(durationMs('1d', ['ms', 's', 'm', 'h'])).toBeUndefined()
    expect(durationMs('1h', ['ms', 's', 'm', 'h'])).toBe(3_600_000)
  })
})
