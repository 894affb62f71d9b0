import { describe, expect, it } from 'vitest'
import {
  isScope,
  isScopeRepository,
  parseScope,
  repositoryOfScope,
  scopeOfRepository,
  scopeParts,
} from './index.ts'

/** Each with the repository of its layers. */
const scopes: readonly (readonly [string, string])[] = [
  ['acme/app:ref/main', 'cache/acme/app__ref/main'],
  ['gh:acme/app:ref/main', 'cache/gh__acme/app__ref/main'],
  ['local:ref/main', 'cache/local__ref/main'],
  ['acme/app:pr/7', 'cache/acme/app__pr/7'],
  ['acme/app:pr/4711/feature/x', 'cache/acme/app__pr/4711/feature/x'],
  ['acme/app:user/jo', 'cache/acme/app__user/jo'],
  ['acme/app:user/jo@example.org', 'cache/acme/app__user/joz40example.org'],
  ['acme/app:ref/release-1.2_x', 'cache/acme/app__ref/release-1.2_x'],
  ['acme/app:ref/JIRA-12/Fix', 'cache/acme/app__ref/zjzizrza-12/zfix'],
  ['acme/app:ref/jira-12/fix', 'cache/acme/app__ref/jira-12/fix'],
  ['acme/app:ref/zlib', 'cache/acme/app__ref/z7alib'],
  ['acme/app:ref/a__b--c.d', 'cache/acme/app__ref/az5f_bz2d-c.d'],
  ['acme/app:ref/größe', 'cache/acme/app__ref/grz0c3z0b6z0c3z09fe'],
  ['acme/app:ref/mаin', 'cache/acme/app__ref/mz0d0z0b0in'],
  ['acme/app:ref/🚀', 'cache/acme/app__ref/z0f0z09fz09az080'],
  ['acme/app:ref/_x_', 'cache/acme/app__ref/z5fxz5f'],
  ["acme/app:ref/it's#1&2=3", 'cache/acme/app__ref/itz27sz231z262z3d3'],
  ['acme/app:ref/x/manifests/y', 'cache/acme/app__ref/x/manifests/y'],
  ['A.b_c-d/E:ref/m', 'cache/za.b_c-d/ze__ref/m'],
]

/** The grammar of names in the distribution specification. */
const ociName = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/

describe('parseScope()', () => {
  it.each(scopes)('takes %s', (text) => {
    expect(parseScope(text)).toBe(text)
  })

  it.each([
    // Not the form.
    '',
    ':',
    'ref/main',
    ':ref/main',
    'acme/app',
    'acme/app:',
    'acme/app:ref',
    'acme/app:ref/',
    'acme/app:tag/v1',
    'acme/app:REF/main',
    'acme/app:ref:main',
    'a:b:c:ref/main',
    'GH:acme/app:ref/main',
    ':acme/app:ref/main',
    // Path tricks.
    'acme/app:pr/7/../main',
    'acme/app:pr/../ref/main',
    'acme/app:ref/../main',
    'acme/app:ref/./main',
    'acme/app:ref//main',
    'acme/app:ref/main/',
    'acme/app:ref/..',
    'acme/app:ref/.main',
    'acme/../app:ref/main',
    'acme/./app:ref/main',
    '/acme/app:ref/main',
    'acme/app/:ref/main',
    'acme//app:ref/main',
    '../app:ref/main',
    '.hidden:ref/main',
    'a..b:ref/main',
    'acme\\app:ref/main',
    'acme/app:ref\\main',
    'acme/app:ref/a\\b',
    'acme/app.:ref/main',
    // Anything decoded twice.
    'acme/app:ref/%6dain',
    'acme/app:ref/main%00',
    'acme/app:pr/7%2F..%2Fmain',
    'acme%2fapp:ref/main',
    'acme/app:ref/a%',
    // What nobody sees.
    'acme/app:ref/main ',
    ' acme/app:ref/main',
    'acme/app:ref/ma in',
    'acme/app:ref/main\n',
    'acme/app:ref/main\u0000',
    'acme/app:ref/ma\u200bin',
    'acme/app:ref/\u202emain',
    'acme/app:ref/main\ufeff',
    'acme/app:ref/ma\u00adin',
    'acme/app:ref/\ud800',
    'acme/app:ref/main\u2028',
    'acme/app:ref/\u00a0main',
    'acme/app:ref/\u001b[31m',
    'acme/app:ref/\u0085',
    'acme/app:ref/\ue000',
    // Two forms of the same look.
    'acme/app:ref/u\u0308',
    'acme/app:ref/\u212b',
    'ácme/app:ref/main',
    'аcme/app:ref/main',
    'acme／app:ref/main',
    'acme/app：ref/main',
    // What git refuses.
    'acme/app:ref/a..b',
    'acme/app:ref/a@{1',
    'acme/app:ref/@',
    'acme/app:ref/a.lock',
    'acme/app:ref/a.lock/b',
    'acme/app:ref/a~1',
    'acme/app:ref/a^',
    'acme/app:ref/a:b',
    'acme/app:ref/a?',
    'acme/app:ref/a*',
    'acme/app:ref/[a',
    'acme/app:ref/-a',
    'acme/app:ref/a.',
    // Numbers.
    'acme/app:pr/',
    'acme/app:pr/0',
    'acme/app:pr/07',
    'acme/app:pr/-7',
    'acme/app:pr/+7',
    'acme/app:pr/7.0',
    'acme/app:pr/7e1',
    'acme/app:pr/٧',
    'acme/app:pr/７',
    'acme/app:pr/0x7',
    'acme/app:pr/main',
    'acme/app:pr/7/',
    'acme/app:pr/7/..',
    `acme/app:pr/${'9'.repeat(19)}`,
    'acme/app:pr/7 ',
    // Users.
    'acme/app:user/',
    'acme/app:user/a/b',
    'acme/app:user/..',
    'acme/app:user/.a',
    'acme/app:user/a..b',
    'acme/app:user/jö',
    // Length.
    `acme/app:ref/${'a'.repeat(300)}`,
    `acme/app:ref/${'A'.repeat(110)}`,
    `acme/app:ref/${'ü'.repeat(40)}`,
    'a/'.repeat(200),
  ])('refuses %j', (text) => {
    expect(isScope(text)).toBe(false)
    expect(() => parseScope(text)).toThrowError(
      expect.objectContaining({ code: 'ERR_CACHE_SCOPE', kind: 'user' }),
    )
  })

  it('never reads a name past its colon', () => {
    expect(scopeParts('gh:acme/app:ref/a/b')).toEqual({ project: 'gh:acme/app', kind: 'ref', name: 'a/b' })
    expect(scopeParts('acme/app:pr/7')).toEqual({ project: 'acme/app', kind: 'pr', name: '7' })
  })

  it('takes a name that fills the longest repository, and none more', () => {
    const longest = `a:ref/${'b'.repeat(220 - 'cache/a__ref/'.length)}`
    expect(repositoryOfScope(parseScope(longest))).toHaveLength(220)
    expect(isScope(`${longest}b`)).toBe(false)
  })
})

describe('repositoryOfScope()', () => {
  it.each(scopes)('%s has %s', (text, name) => {
    expect(repositoryOfScope(parseScope(text))).toBe(name)
    expect(name).toMatch(ociName)
    expect(scopeOfRepository(name)).toBe(text)
  })

  it('gives no two scopes one name, and only names that registries take: 20,000 of characters that clash elsewhere', () => {
    const alphabet = [...'az09AZ.-_/:zxé#+@'].concat('__', 'z7a', 'zz', 'ref/', 'cache/')
    let state = 7
    const next = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * limit)
    }
    const names = new Map<string, string>()
    for (let tried = 0; names.size < 20_000 && tried < 400_000; tried++) {
      const part = (): string =>
        Array.from({ length: 1 + next(5) }, () => alphabet[next(alphabet.length)]).join('')
      const text = `${part()}:${['ref', 'pr', 'user'][next(3)]}/${part()}`
      if (!isScope(text)) continue
      const name = repositoryOfScope(text)
      expect(name).toMatch(ociName)
      expect(names.get(name) ?? text).toBe(text)
      expect(scopeOfRepository(name)).toBe(text)
      names.set(name, text)
    }
    expect(names.size).toBeGreaterThan(5000)
  })

  it.each([
    'cache',
    'cache/',
    'cache/acme',
    'cache/acme/app',
    'acme/app__ref/main',
    'Cache/acme/app__ref/main',
    'cache//acme/app__ref/main',
    'cache/acme/app__ref/../main',
    'cache/acme/app__ref/z1a',
    'cache/acme/app__ref/z6dain',
    'cache/acme/app__ref/z0c3',
    'cache/acme/app__ref/z0c0z0af',
    'cache/acme/app__ref/z',
    'cache/acme/app__ref/mainz2f',
    'cache/acme/app:ref/main',
    'cache/acme/app__ref/MAIN',
    'cache/acme/app__ref/z25',
    'cache/acme/app__tag/x',
    'cache/acme/appz3aref/main',
    `cache/a__ref/${'b'.repeat(300)}`,
  ])('scopeOfRepository() has none for %s', (name) => {
    expect(scopeOfRepository(name)).toBeUndefined()
  })

  it('isScopeRepository() keeps what is below cache/ for scopes, and nothing else', () => {
    expect(['cache', 'cache/x', 'cache/a__ref/b'].map(isScopeRepository)).toEqual([true, true, true])
    expect(['cached', 'cache-x/y', 'x/cache/y', ''].map(isScopeRepository)).toEqual([
      false,
      false,
      false,
      false,
    ])
  })
})
