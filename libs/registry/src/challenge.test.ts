import { describe, expect, it } from 'vitest'
import { parseChallenges } from './challenge.ts'

describe('parseChallenges()', () => {
  it.each([
    ['Basic realm="x"', [['basic', { realm: 'x' }]]],
    ['basic', [['basic', {}]]],
    [
      'Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push"',
      [['bearer', { realm: 'https://a/token', service: 's', scope: 'repository:a/b:pull,push' }]],
    ],
    [
      'Negotiate, Basic realm="a, b", Bearer realm = "c\\"d" , Service=e',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a, b' }],
        ['bearer', { realm: 'c"d', service: 'e' }],
      ],
    ],
    ['', []],
    ['"""', []],
    ['realm="x"', []],
  ])('reads %s', (header, expected) => {
    const found = parseChallenges(header).map(({ scheme, parameters }) => [
      scheme,
      Object.fromEntries(parameters),
    ])
    expect(found).toEqual(expected)
  })

  it('reads a hostile header in time that grows with its length', () => {
    expect(parseChallenges(`Bearer realm="${'\\'.repeat(1_000_000)}`).length).toBeLessThan(3)
  })
})
