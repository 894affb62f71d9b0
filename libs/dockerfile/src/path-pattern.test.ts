import { describe, expect, it } from 'vitest'
import { pathPatternProblem } from './path-pattern.ts'

describe('pathPatternProblem()', () => {
  it.each([
    'a/b',
    '*',
    '**/x',
    'a?',
    '[a-z]',
    '[^x]',
    '[]a]x'.slice(1, 3),
    '[\\]]',
    '[\\^a]',
    'a]',
    '[[]',
    '\\\\',
    '\\[',
    '[é-ü]',
    '[!a]',
  ])('finds nothing wrong with %j', (pattern) => {
    expect(pathPatternProblem(pattern)).toBeNull()
  })

  it.each(['[', 'a[', '[a', '[]', '[]a]', '[^]', '[a-]', '[-a]', '[a-b-c]', '[\\', '[a\\]', 'x[a]['])(
    'finds the class of %j malformed',
    (pattern) => {
      expect(pathPatternProblem(pattern)).toMatch(/^syntax error in pattern: a class/)
    },
  )

  it.each(['\\', 'a\\', '[a]\\', '\\\\\\'])('finds nothing after the last escape of %j', (pattern) => {
    expect(pathPatternProblem(pattern)).toMatch(/^syntax error in pattern: nothing follows/)
  })
})
