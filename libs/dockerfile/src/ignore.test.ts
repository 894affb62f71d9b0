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
    ['../x', '../x'],
    ['/../x', 'x'],
    ['a/..', '.'],
    ['**/', '**'],
    ['! /x', 'x'],
  ])('cleans %j to %j', (line, pattern) => {
    expect(parseIgnore(line)[0]?.pattern).toBe(pattern)
  })

  it('refuses a lone exclamation mark', () => {
    expect(() => parseIgnore('a\n ! ')).toThrowError(
      expect.objectContaining({
        code: 'ERR_IGNORE_SYNTAX',
        source: expect.objectContaining({ startLine: 2 }),
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
