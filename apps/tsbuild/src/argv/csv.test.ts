import { describe, expect, it } from 'vitest'
import { splitCsv } from './csv.ts'

const usage = expect.objectContaining({ code: 'ERR_USAGE' })

describe('splitCsv()', () => {
  it.each([
    ['a,b', ['a', 'b']],
    ['', ['']],
    ['a,', ['a', '']],
    ['"a,b",c', ['a,b', 'c']],
    ['"say ""hi"""', ['say "hi"']],
    ['"",x', ['', 'x']],
  ])('splits %j by RFC 4180', (line, fields) => {
    expect(splitCsv(line)).toEqual(fields)
  })

  it.each(['"a', 'a"b', '"a"b'])('refuses %j', (line) => {
    expect(() => splitCsv(line)).toThrow(usage)
  })
})
