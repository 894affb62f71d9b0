import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import type { Difference, FileChange } from './types.ts'
import { afterWords, ageWords, describeDifference, longestReason, reasonOf, titleOf } from './words.ts'

const [a, b] = [digestBytes('a'), digestBytes('b')]
const files = (changes: readonly FileChange[] | null, total = changes?.length ?? 0): Difference => ({
  kind: 'files',
  from: '[build 2/3] COPY . .',
  before: a,
  after: b,
  changes,
  total,
})
const image = (before: string | null, after: string | null): Difference => ({
  kind: 'image',
  role: 'base',
  before: before === null ? null : { reference: before, manifest: a },
  after: after === null ? null : { reference: after, manifest: b },
})

const worded: readonly (readonly [string, Difference])[] = [
  ['arg: ARG V 1 → 2', { kind: 'arg', name: 'V', before: '1', after: '2', hidden: false }],
  ['env: ENV V=1 is new', { kind: 'env', name: 'V', before: null, after: '1', hidden: false }],
  ['env: ENV V is gone', { kind: 'env', name: 'V', before: '1', after: null, hidden: false }],
  ['arg: ARG TOKEN changed', { kind: 'arg', name: 'TOKEN', before: null, after: null, hidden: true }],
  [
    'env: ENV PATH changed',
    {
      kind: 'env',
      name: 'PATH',
      before: `${'/usr/bin:'.repeat(9)}a`,
      after: `${'/usr/bin:'.repeat(9)}b`,
      hidden: false,
    },
  ],
  ['base-image: base debian:12 moved', image('docker.io/library/debian:12', 'docker.io/library/debian:12')],
  [
    'base-image: base debian:12 → me/debian:13',
    image('docker.io/library/debian:12', 'docker.io/me/debian:13'),
  ],
  ['base-image: base was debian:12', image('docker.io/library/debian:12', null)],
  ['base-image: base is registry.test/a', image(null, 'registry.test/a')],
  ['files: src/a changed', files([{ path: 'src/a', change: 'content' }])],
  ['files: a\\b leads elsewhere', files([{ path: 'a\\b', change: 'target', before: 'x', after: 'y' }])],
  ['files: a was a directory', files([{ path: 'a', change: 'kind', before: 'directory', after: 'file' }])],
  ['files: a owner 0:0 → 1:1', files([{ path: 'a', change: 'owner', before: '0:0', after: '1:1' }])],
  ['files: a attributes changed', files([{ path: 'a', change: 'attributes' }])],
  ['files: a removed and 6 more', files([{ path: 'a', change: 'removed' }], 7)],
  ['files: files of COPY . . changed', files(null)],
  ['files: the order of the sources changed', files([])],
  ['secret: secret npm changed', { kind: 'secret', id: 'npm' }],
  [
    'instruction: mount /cache readOnly false → true',
    { kind: 'mount', type: 'cache', target: '/cache', option: 'readOnly', before: 'false', after: 'true' },
  ],
  [
    'instruction: mount /cache is gone',
    { kind: 'mount', type: 'cache', target: '/cache', option: null, before: 'mounted', after: null },
  ],
  ['instruction: USER none → web', { kind: 'setting', name: 'USER', before: null, after: 'web' }],
  ['instruction: the line was "COPY a b"', { kind: 'instruction', before: 'COPY a b', after: 'RUN x' }],
  ['instruction: line 3 is new', { kind: 'command', part: 'heredoc', line: 3, before: '', after: 'echo' }],
  [
    'input: RUN make made something else',
    { kind: 'step', input: 0, name: '[2/3] RUN make', before: a, after: b },
  ],
  ['input: RUN a → RUN b', { kind: 'input', before: '[1/2] RUN a', after: '[1/2] RUN b' }],
  ['instruction: recorded by another version of tsbuild', { kind: 'version', before: '2', after: '3' }],
]

describe('reasonOf()', () => {
  it.each(worded)('says %s', (expected, difference) => {
    const reason = reasonOf([difference])
    expect(`${reason?.code}: ${reason?.text}`).toBe(expected)
    expect(describeDifference(difference).join('\n')).not.toMatch(/undefined|null|\[object/)
  })

  it('has words for every kind of difference', () => {
    expect(new Set(worded.map(([, { kind }]) => kind)).size).toBe(12)
  })

  it('begins with what is most telling, and counts the rest', () => {
    const [arg, base, file] = [worded[0]?.[1], worded[5]?.[1], worded[14]?.[1]] as const
    if (arg === undefined || base === undefined || file === undefined) throw new RangeError('no such row')
    expect(reasonOf([file, arg, base])?.text).toBe('base debian:12 moved and 8 more')
    const platform: Difference = {
      kind: 'setting',
      name: 'platform',
      before: 'linux/amd64',
      after: 'linux/arm64',
    }
    expect(reasonOf([base, platform])?.text).toBe('platform linux/amd64 → linux/arm64 and 1 more')
    expect(reasonOf([])).toBeUndefined()
  })

  it('fits into a progress line, whatever it names', () => {
    const long = 'x/'.repeat(200)
    const all: readonly Difference[] = [
      files([{ path: long, change: 'mode', before: '0644', after: '0755' }], 1_000),
      image(`docker.io/${long}`, `docker.io/library/${long}y`),
      { kind: 'command', part: 'command', line: null, before: long, after: 'x' },
      { kind: 'env', name: long, before: long, after: 'x', hidden: false },
      { kind: 'mount', type: 'bind', target: long, option: 'source', before: long, after: 'x' },
      { kind: 'setting', name: '--add-host', before: null, after: long },
      { kind: 'step', input: 0, name: long, before: a, after: b },
    ]
    for (const difference of all) {
      const reason = reasonOf([difference, ...all])
      if (reason === undefined) throw new RangeError('no reason')
      expect(reason.text.length).toBeLessThanOrEqual(longestReason)
      expect(afterWords(long, reason).length).toBeLessThanOrEqual(longestReason)
    }
    expect(reasonOf(all.slice(0, 1))?.text).toMatch(/^…[x/]+ mode 0644 → 0755 and 999 more$/)
  })

  it('keeps the end of a quotation', () => {
    const text = reasonOf([
      { kind: 'command', part: 'command', line: null, before: 'y'.repeat(99), after: 'x' },
    ])?.text
    expect(text).toMatch(/^the command was "y+…"$/)
    expect(text).toHaveLength(longestReason)
  })
})

describe('ageWords()', () => {
  it.each([
    [0, 'just now'],
    [59_999, 'just now'],
    [60_000, '1 minute ago'],
    [7_200_000, '2 hours ago'],
    [2 * 86_400_000, '2 days ago'],
  ])('says of %i ms %j', (ms, expected) => {
    expect(ageWords(ms)).toBe(expected)
  })
})

describe('titleOf()', () => {
  it('leaves out the place of a step, and has one line', () => {
    expect(titleOf('[build 2/4] RUN <<EOF (a\nb)')).toBe('RUN <<EOF (a b)')
    expect(titleOf('[build] mount /src')).toBe('mount /src')
    expect(titleOf('load')).toBe('load')
  })
})
