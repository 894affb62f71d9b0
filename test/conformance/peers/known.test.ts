import { describe, expect, it } from 'vitest'
import { differences } from './compare.ts'
import { checkKnown, type Known, readKnown } from './known.ts'

const known: Known = { peer: 'docker', reason: 'why', difference: 'config: \\w+ .*', cases: ['a', 'b'] }
const found = (name: string, ...lines: readonly string[]) =>
  ({ peer: 'docker', name, differences: lines }) as const
const user = 'config: User "a" / none'

describe('checkKnown()', () => {
  it('finds nothing when every difference is listed and every listed one is there', () => {
    expect(checkKnown([known], [found('a', user), found('b', user)], true)).toEqual([])
  })

  it('finds a difference of another case, another peer or another kind', () => {
    const lines = [found('a', user, '/x: only ours: {}'), found('b', user), found('c', user)]
    const other = { peer: 'buildah', name: 'a', differences: [user] } as const
    expect(checkKnown([known], [...lines, other], true)).toEqual([
      'not listed: docker a /x: only ours: {}',
      `not listed: docker c ${user}`,
      `not listed: buildah a ${user}`,
    ])
  })

  it('matches a whole line', () => {
    const entry = { ...known, difference: 'config: User', cases: ['a'] }
    expect(checkKnown([entry], [found('a', user)], true)).toHaveLength(2)
  })

  it('finds a listed difference that is gone, of a case that ran', () => {
    const gone = 'listed, but gone: docker b config: \\w+ .*'
    expect(checkKnown([known], [found('a', user), found('b')], false)).toEqual([gone])
    expect(checkKnown([known], [found('a', user)], false)).toEqual([])
    expect(checkKnown([known], [found('a', user)], true)).toEqual([gone])
  })

  it('wants an entry for any case to be true of one, once every case ran', () => {
    const any = { ...known, cases: ['*'] }
    expect(checkKnown([any], [found('c', user)], true)).toEqual([])
    expect(checkKnown([any], [found('c')], false)).toEqual([])
    expect(checkKnown([any], [found('c')], true)).toEqual(['listed, but gone: docker * config: \\w+ .*'])
  })
})

describe('readKnown()', () => {
  it('has a reason and a pattern that can be read for every entry', () => {
    for (const { difference } of readKnown()) expect(() => new RegExp(difference)).not.toThrow()
  })
})

describe('differences()', () => {
  const file = { type: 'file', text: 'x' }
  const facts = { tree: { a: file, d: { type: 'directory' } }, config: { User: 'web' }, author: undefined }

  it('gives nothing for the same facts', () => {
    expect(differences(facts, { facts: structuredClone(facts) })).toEqual([])
  })

  it('gives a line for every member, path and config key', () => {
    const theirs = {
      tree: { a: { ...file, mode: '0600' }, b: file },
      config: { User: 'root', Cmd: ['a'] },
      author: 'me',
    }
    expect(differences(facts, { facts: theirs })).toEqual([
      'config: Cmd none / ["a"]',
      'config: User "web" / "root"',
      'author: none / "me"',
      '/a: mode none / "0600"',
      '/b: only theirs: {"type":"file","text":"x"}',
      '/d: only ours: {"type":"directory"}',
    ])
  })

  it('gives one line for a build that the peer refused', () => {
    expect(differences(facts, { failure: 'no such flag' })).toEqual(['fails: no such flag'])
  })
})
