import { describe, expect, it } from 'vitest'
import { createOutputTail } from './output-tail.ts'

function linesOf(chunks: readonly string[], maxLines?: number, maxBytes?: number): readonly string[] {
  const tail = createOutputTail(maxLines, maxBytes)
  for (const chunk of chunks) tail.push(Buffer.from(chunk))
  return tail.lines()
}

describe('createOutputTail()', () => {
  it.each([
    ['nothing', [], []],
    ['a line without an end', ['a'], ['a']],
    ['a line end', ['a\n'], ['a']],
    ['chunks that cut lines', ['a', 'b\nc', '\n'], ['ab', 'c']],
    ['blank lines', ['a\n\nb\n\n'], ['a', '', 'b', '']],
  ] as const)('lines() gives %s', (_, chunks, expected) => {
    expect(linesOf(chunks)).toEqual(expected)
  })

  it('lines() gives the last lines, at most as many as asked for', () => {
    expect(linesOf(['1\n2\n', '3\n4\n'], 3)).toEqual(['2', '3', '4'])
  })

  it('lines() keeps the end of what is longer than its limit, in one chunk and in many', () => {
    expect(linesOf([`${'x'.repeat(100)}end`], 20, 8)).toEqual(['xxxxxend'])
    expect(linesOf([...'0123456789'], 20, 4)).toEqual(['6789'])
  })
})
