import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ignoreFileNames, parseIgnore } from './ignore.ts'

describe('parseIgnore()', () => {
  it('reads rules in order with their lines', () => {
    expect(parseIgnore('\ufeff# c\r\n*.md\r\n\r\n!README.md\n  /a//b/../c/ \n #x')).toEqual([
      { pattern: '*.md', negated: false, line: 2 },
      { pattern: 'README.md', negated: true, line: 4 },
      { pattern: 'a/c', negated: false, line: 5 },
      { pattern: '#x', negated: false, line: 6 },
    ])
  })

  it.each([
    ['/', '/'],
    ['.', '.'],
    ['./', '.'],
    ['/../x', 'x'],
    ['a/..', '.'],
    ['**/', '**'],
    ['! /x', 'x'],
  ])('cleans %j to %j', (line, pattern) => {
    expect(parseIgnore(line)[0]?.pattern).toBe(pattern)
  })

  it.each(['../x', '..', '!../x', 'a/../../x'])('makes no rule of %j', (line) => {
    expect(parseIgnore(line)).toEqual([])
  })

  it.each([
    ['./!x', 'x'],
    ['/!x', 'x'],
    ['!/!x', '!x'],
    ['!.', '.'],
  ])('takes %j for a rule that takes %j back', (line, pattern) => {
    expect(parseIgnore(line)[0]).toMatchObject({ pattern, negated: true })
  })

  it.each([
    ['!', 'it needs a path after the "!"'],
    ['! ', 'it needs a path after the "!"'],
    ['!/', 'it needs a path after the "!"'],
    ['./!', 'it needs a path after the "!"'],
    ['a[', 'a class "[…]" is empty or not closed'],
    ['!a\\', 'nothing follows the "\\"'],
    ['a\udce9', 'byte 0xe9 is not UTF-8'],
    ['a\0', 'it holds a NUL character'],
  ])('refuses %j and says where', (line, reason) => {
    expect(() => parseIgnore(`# \udce9\n ${line}\n`, 'd/.dockerignore')).toThrowError(
      expect.objectContaining({
        code: 'ERR_IGNORE_SYNTAX',
        message: expect.stringContaining(reason),
        source: {
          file: 'd/.dockerignore',
          startLine: 2,
          startColumn: 0,
          endLine: 2,
          endColumn: line.length + 1,
        },
      }),
    )
  })
})

describe('ignoreFileNames()', () => {
  it('puts the file beside the Dockerfile first', () => {
    expect(ignoreFileNames('docker/app.Dockerfile').map(({ path }) => path)).toEqual([
      'docker/app.Dockerfile.dockerignore',
      '.dockerignore',
    ])
  })
})

/** A case of test/patterns/cases.json; the helper's tests read its other members. */
interface PatternCase {
  readonly rule: string
  /** The text of an ignore file. */
  readonly ignore: string
  /** The rules as the helper gets them. */
  readonly patterns: readonly string[]
}

describe('parseIgnore() on the table that the helper shares', () => {
  const file = new URL('../../../test/patterns/cases.json', import.meta.url)
  const cases: readonly PatternCase[] = JSON.parse(readFileSync(file, 'utf8'))
  it.each(cases.map((one) => [one.rule, one] as const))('%s', (_, { ignore, patterns }) => {
    const rules = parseIgnore(ignore).map(({ pattern, negated }) => (negated ? `!${pattern}` : pattern))
    expect(rules).toEqual(patterns)
  })
})
