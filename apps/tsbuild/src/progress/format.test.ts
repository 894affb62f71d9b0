import { describe, expect, it } from 'vitest'
import { formatBytes, formatOffset, oneLine } from './format.ts'
import { cutToWidth, displayWidth } from './text-width.ts'

describe('format', () => {
  it('formatBytes() uses decimal units', () => {
    expect([0, 999, 1_000, 29_150_000, 1.5e12].map(formatBytes)).toEqual([
      '0B',
      '999B',
      '1.00kB',
      '29.15MB',
      '1.50TB',
    ])
  })

  it('formatOffset() keeps five characters', () => {
    expect([0, 9_999, 10_000, 99_990, 100_000].map(formatOffset)).toEqual([
      '0.000',
      '9.999',
      '10.00',
      '99.99',
      '100.0',
    ])
  })

  it('oneLine() drops control characters and what was overwritten', () => {
    expect(oneLine('a\x07b\x1b[2J\tc')).toBe('ab c')
    expect(oneLine('10%\r20%\r')).toBe('20%')
    expect(oneLine('\x1b]0;title\x07x')).toBe('x')
  })

  it('cutToWidth() counts columns, not code units', () => {
    expect(cutToWidth('日本語', 5)).toBe('日本')
    expect(cutToWidth('e\u0301e', 1)).toBe('e\u0301')
    expect(cutToWidth('abc', 0)).toBe('')
    expect(displayWidth('🐳 x')).toBe(4)
  })
})
