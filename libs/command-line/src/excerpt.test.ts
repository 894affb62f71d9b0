import { describe, expect, it } from 'vitest'
import { excerpt } from './excerpt.ts'

const at = (startLine: number, endLine = startLine) => ({
  file: 'Dockerfile',
  startLine,
  startColumn: 0,
  endLine,
  endColumn: 4,
})

describe('excerpt()', () => {
  it('shows the lines of each of two texts', () => {
    const first = excerpt('one\n', at(1))
    expect(excerpt('two\n', at(1))).toEqual(['   1 | >>> two'])
    expect(excerpt('one\n', at(1))).toEqual(first)
  })

  const text = Array.from({ length: 30 }, (_, index) => `line ${index + 1}`).join('\n')

  it('marks every line of the range and cuts a long one', () => {
    expect(excerpt(text, at(2, 3)).map((line) => line.slice(0, 10))).toEqual([
      '   1 |    ',
      '   2 | >>>',
      '   3 | >>>',
      '   4 |    ',
      '   5 |    ',
    ])
    const long = excerpt(text, at(1, 20))
    expect(long).toHaveLength(13)
    expect(long.at(-1)).toBe('     | >>> … 8 more lines')
  })

  it('shows nothing where the text has no such line, or is not there', () => {
    expect(excerpt('a\n', at(2))).toEqual([])
    expect(excerpt('a\n', at(0))).toEqual([])
    expect(excerpt(undefined, at(1))).toEqual([])
    expect(excerpt('a', at(1, 9))).toEqual(['   1 | >>> a'])
  })
})
