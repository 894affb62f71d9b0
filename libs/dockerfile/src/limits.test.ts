// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { describe, expect, it } from 'vitest'
import { expand, expandHeredoc } from './expand.ts'

const tooLong = (count: number) =>
  new RegExp(`Cannot expand .*: it expands to more than ${count} characters$`)
const escaped = { escape: '\\' } as const

describe('expand() ends what grows with an error', () => {
  it('when each line of ARG doubles the one before', () => {
    const values = new Map([['a0', '0123456789abcdef']])
    const run = () => {
      for (let line = 0; line < 60; line++) {
        values.set(
          `a${line + 1}`,
          expand(`$a${line}$a${line}`, (name) => values.get(name), escaped),
        )
      }
    }
    expect(run).toThrowError(tooLong(1_048_576))
    // 16 characters doubled 16 times still fit.
    expect(values.size).toBe(17)
  })

  const half = 'x'.repeat(600_000)
  it.each([
    ['two values side by side', '$a$a'],
    ['in double quotes', '"$a$a"'],
    ['in an operand', '${none:-$a$a}'],
    ['in an operand of a pattern', '${a#$a$a}'],
    ['by a replacement', '${a//?/$a}'],
    ['by a replacement of each character', '${a//x/yy}'],
    ['by what was matched', '${a//?/$match}'],
  ])('of %s', (_, word) => {
    const values = new Map([
      ['a', half],
      ['match', '$0$0'],
    ])
    expect(() => expand(word, (name) => values.get(name), escaped)).toThrowError(tooLong(1_048_576))
  })

  it('of a heredoc that grows by more than 16 MiB', () => {
    const body = '$a'.repeat(40)
    expect(() => expandHeredoc(body, () => half)).toThrowError(tooLong(16_777_296))
    expect(expandHeredoc('$a$a', () => half)).toHaveLength(1_200_000)
  })

  it('shows the beginning of a long text', () => {
    const message = () => expand(`$a$a${'y'.repeat(1_000)}`, () => half, escaped)
    expect(message).toThrowError(/^Cannot expand "\$a\$ay{196}…": /)
  })

  it('of a pattern that needs too many steps', () => {
    const value = 'A'.repeat(60_000)
    const run = () => expand(`\${a//${'A'.repeat(1_000)}B/x}`, () => value, escaped)
    expect(run).toThrowError(/the pattern needs too many steps to be matched/)
  })
})
