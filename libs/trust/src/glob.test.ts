import { describe, expect, it } from 'vitest'
import { compileGlob, matchesAny } from './index.ts'

describe('compileGlob()', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    [
      'acme/app:ref/main',
      ['acme/app:ref/main'],
      ['acme/app:ref/main2', 'xacme/app:ref/main', 'acme/app:ref/mаin', 'acme/app:ref/MAIN'],
    ],
    ['acme/*:ref/main', ['acme/app:ref/main'], ['acme/a/b:ref/main', 'acme/app:x:ref/main', 'acme:ref/main']],
    [
      'acme/app:ref/release-*',
      ['acme/app:ref/release-1', 'acme/app:ref/release-'],
      ['acme/app:ref/release-1/x'],
    ],
    ['acme/**:ref/*', ['acme/a/b/c:ref/x', 'acme/a:ref/x'], ['acme:ref/x', 'acme/a:ref/x/y']],
    ['**', ['a', 'a/b:c/d'], ['']],
    ['acme/**', ['acme/a', 'acme/a/b'], ['acme', 'acme/', 'acmeX/a']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['ab', 'a/xb', 'a//c']],
    ['a.b+c(d)[e]^$|?', ['a.b+c(d)[e]^$|?'], ['aXb+c(d)[e]^$|?']],
    ['a-b\\d', ['a-b\\d'], ['a-b1']],
  ])('%s', (pattern, fitting, others) => {
    for (const text of fitting) expect(compileGlob(pattern)(text), text).toBeDefined()
    for (const text of others) expect(compileGlob(pattern)(text), text).toBeUndefined()
  })

  it('remembers what stood for a name, and holds it to that', () => {
    expect(compileGlob('refs/pull/{number}/merge')('refs/pull/7/merge')).toEqual({ number: '7' })
    expect(compileGlob('refs/pull/{number}/merge')('refs/pull/7/x/merge')).toBeUndefined()
    expect(compileGlob('refs/heads/{name...}')('refs/heads/a/b')).toEqual({ name: 'a/b' })
    expect(compileGlob('{a}/{a}')('x/x')).toEqual({ a: 'x' })
    expect(compileGlob('{a}/{a}')('x/y')).toBeUndefined()
    expect(compileGlob('{0}')('{0}')).toEqual({})
  })

  it('fits nothing of more than 1,024 characters', () => {
    expect(matchesAny(['**'], 'a'.repeat(1024))).toBe(true)
    expect(matchesAny(['**'], 'a'.repeat(1025))).toBe(false)
  })
})
