import { describe, expect, it } from 'vitest'
import { visible, visibleLog } from './visible.ts'

describe('visible()', () => {
  it.each([
    ['an escape sequence', 'a\x1b[2Jb', 'a\\x1b[2Jb'],
    ['a title', '\x1b]0;x\x07', '\\x1b]0;x\\x07'],
    ['C1 controls', '\x9b31m\x90', '\\x9b31m\\x90'],
    ['a carriage return and backspaces', 'bad\r\x08good', 'bad\\x0d\\x08good'],
    ['marks of direction', 'a\u202eb\u2066c\u2028', 'a\\u202eb\\u2066c\\u2028'],
    ['NUL and DEL', '\0\x7f', '\\x00\\x7f'],
  ])('shows %s instead of obeying it', (_, text, shown) => {
    expect(visible(text)).toBe(shown)
  })

  it('leaves tabs, line feeds and every other letter', () => {
    expect(visible('é\t日本\n👩‍💻')).toBe('é\t日本\n👩‍💻')
  })
})

describe('visibleLog()', () => {
  it('leaves colours and carriage returns to a step, and nothing else', () => {
    expect(visibleLog('\x1b[1;31mred\x1b[0m 1%\r2%')).toBe('\x1b[1;31mred\x1b[0m 1%\r2%')
    expect(visibleLog('\x1b[31m\x1b[2J\x1b]52;c;eA==\x07\x1b[6n')).toBe(
      '\x1b[31m\\x1b[2J\\x1b]52;c;eA==\\x07\\x1b[6n',
    )
  })
})
