import { describe, expect, it } from 'vitest'
import { compareLists, largestFiles } from './compare-lists.ts'

const sha = (digit: string) => digit.repeat(64)
const list = (...lines: readonly string[]) => ['tsbuild-content-v1', 'source dir', ...lines, ''].join('\n')
const file = (name: string, { mode = '0644', owner = '0:0', size = 1, content = 'a', x = '' } = {}) =>
  `f ${mode} ${owner} ${size} ${sha(content)} ${x === '' ? '' : `${x} `}${name}`

describe('compareLists()', () => {
  it.each<[string, string, string, readonly unknown[]]>([
    ['nothing', file('/a'), file('/a'), []],
    ['content', file('/a'), file('/a', { content: 'b' }), [{ path: 'a', change: 'content' }]],
    [
      'mode',
      file('/a'),
      file('/a', { mode: '0755' }),
      [{ path: 'a', change: 'mode', before: '0644', after: '0755' }],
    ],
    [
      'owner and content',
      file('/a'),
      file('/a', { owner: '5:5', content: 'b' }),
      [
        { path: 'a', change: 'content' },
        { path: 'a', change: 'owner', before: '0:0', after: '5:5' },
      ],
    ],
    ['no mode that counts only once', file('/a', { mode: '-' }), file('/a', { mode: '0755' }), []],
    ['attributes', file('/a'), file('/a', { x: 'x=user.a=00' }), [{ path: 'a', change: 'attributes' }]],
    [
      'kind',
      file('/a'),
      'd 0755 0:0 /a',
      [{ path: 'a', change: 'kind', before: 'file', after: 'directory' }],
    ],
    [
      'target',
      'l 0777 0:0 ../x%20y /a',
      'l 0777 0:0 z /a',
      [{ path: 'a', change: 'target', before: '../x y', after: 'z' }],
    ],
    ['device', 'c 0600 0:0 1:3 /a', 'c 0600 0:0 1:5 /a', [{ path: 'a', change: 'content' }]],
    ['escaped name', '', file('/%c3%a4%20b'), [{ path: 'ä b', change: 'added' }]],
  ])('finds %s', (_, before, after, expected) => {
    expect(compareLists(list(before), list(after))).toEqual(expected)
  })

  it('gives what was added and removed in the order of the paths', () => {
    const changes = compareLists(list(file('/a'), file('/c')), list(file('/b'), file('/c'), file('/d')))
    expect(changes).toEqual([
      { path: 'a', change: 'removed' },
      { path: 'b', change: 'added' },
      { path: 'd', change: 'added' },
    ])
  })

  it('knows that a file of the same name and content is in two sources', () => {
    const both = list(file('/a'), 'source dir', file('/a'))
    const one = list(file('/a'), 'source dir', file('/a', { content: 'b' }))
    expect(compareLists(both, one)).toEqual([{ path: 'a', change: 'content' }])
  })

  it('passes over lines that make no sense', () => {
    expect(compareLists('', list('', 'f', 'nonsense here it is', file('/a')))).toEqual([
      { path: 'a', change: 'added' },
    ])
  })
})

describe('largestFiles()', () => {
  it('gives the largest files first, and no directories', () => {
    const text = list(file('/a', { size: 5 }), 'd 0755 0:0 /d', file('/d/b', { size: 50 }), file('/c'))
    expect(largestFiles(text, 2)).toEqual([
      { path: 'd/b', bytes: 50 },
      { path: 'a', bytes: 5 },
    ])
  })
})
