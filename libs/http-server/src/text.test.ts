import { describe, expect, it } from 'vitest'
import { hasControl, printable } from './text.ts'

describe('printable()', () => {
  it('shows what would move a terminal or begin a line, and cuts', () => {
    expect(printable('a\x1b[31m\r\n\x7f\x9b\u2028ü', 100)).toBe('a\\x1b[31m\\x0d\\x0a\\x7f\\x9b\\x2028ü')
    expect(printable('abcdef', 3)).toBe('abc…')
    expect([hasControl('a\0'), hasControl('a'), hasControl('a\0')]).toEqual([true, false, true])
  })
})
