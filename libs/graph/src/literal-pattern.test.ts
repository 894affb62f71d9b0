import { expect, it } from 'vitest'
import { literalPattern } from './literal-pattern.ts'

it.each([
  ['/src/a b', '/src/a b'],
  ['a\\b', 'a\\b'],
  ['a*?', 'a[*][?]'],
  ['[a]', '[[]a]'],
  ['a\\*', 'a[\\\\][*]'],
])('literalPattern() of %j is %j', (path, pattern) => {
  expect(literalPattern(path)).toBe(pattern)
})
