import { expect, it } from 'vitest'
import { pathMatches } from './path-match.ts'

it.each<[pattern: string, path: string, matches: boolean | undefined]>([
  ['/*.md', '/one.md', true],
  ['/*.md', '/docs/one.md', false],
  ['/src/*/a?c', '/src/x/abc', true],
  ['/a**b', '/axxb', true],
  ['/[a-c]x', '/bx', true],
  ['/[^a-c]x', '/bx', false],
  ['/\\*', '/*', true],
  ['/\\*', '/a', false],
  ['/a.c', '/abc', false],
  ['/[', '/a', undefined],
  ['/a\\', '/a', undefined],
])('pathMatches() of %j and %j is %j', (pattern, path, matches) => {
  expect(pathMatches(pattern, path)).toBe(matches)
})
