import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { type GitUrl, isGitRefName, parseGitUrl, readGitRemote, resolveSubmoduleRemote } from './index.ts'

const sha = 'ab'.repeat(20)
const plain: Omit<GitUrl, 'remote'> = {
  ref: '',
  subdir: '',
  checksum: undefined,
  keepGitDir: undefined,
  submodules: undefined,
  mtime: undefined,
  credentials: undefined,
  mayBePath: false,
}

describe('parseGitUrl()', () => {
  it.each<[string, string, Partial<GitUrl>]>([
    ['https://example.com/foo.git', 'https://example.com/foo.git', {}],
    ['HTTPS://example.com/foo.git', 'https://example.com/foo.git', {}],
    ['http://h:3000/a/b.git', 'http://h:3000/a/b.git', {}],
    ['https://[::1]:8443/a.git', 'https://[::1]:8443/a.git', {}],
    ['git://example.com/foo', 'git://example.com/foo', {}],
    ['ssh://git@h:2222/a/b', 'ssh://git@h:2222/a/b', {}],
    ['ssh://git:secret@h/a', 'ssh://git@h/a', {}],
    ['git@github.com:moby/buildkit', 'git@github.com:moby/buildkit', {}],
    ['some-user@h.x:/srv/a.git', 'some-user@h.x:/srv/a.git', {}],
    ['github.com/moby/buildkit', 'https://github.com/moby/buildkit', { mayBePath: true }],
    ['github.com/o/r.git#v1', 'https://github.com/o/r.git', { mayBePath: true, ref: 'v1' }],
    ['https://h/r.git#release/1.2', 'https://h/r.git', { ref: 'release/1.2' }],
    ['https://h/r.git#baz/qux:quux/quuz', 'https://h/r.git', { ref: 'baz/qux', subdir: 'quux/quuz' }],
    ['https://h/r.git#:myfolder', 'https://h/r.git', { subdir: 'myfolder' }],
    ['https://h/r.git#', 'https://h/r.git', {}],
    ['https://h/r.git#main:a%20b', 'https://h/r.git', { ref: 'main', subdir: 'a b' }],
    ['git@h:r#main:a%20b', 'git@h:r', { ref: 'main', subdir: 'a%20b' }],
    ['https://h/r.git#main:/', 'https://h/r.git', { ref: 'main' }],
    ['https://h/r.git#main:./a//b/../c/', 'https://h/r.git', { ref: 'main', subdir: 'a/c' }],
    [`https://h/r.git#${sha}`, 'https://h/r.git', { ref: sha }],
    ['https://h/r.git?ref=v1.0.0&subdir=/subdir', 'https://h/r.git', { ref: 'v1.0.0', subdir: 'subdir' }],
    ['git@h:r?branch=main#:d', 'git@h:r', { ref: 'refs/heads/main', subdir: 'd' }],
    ['https://h/r.git?tag=v1', 'https://h/r.git', { ref: 'refs/tags/v1' }],
    ['https://h/r.git?tag=refs/tags/v1', 'https://h/r.git', { ref: 'refs/tags/v1' }],
    ['https://h/r.git?branch=a&ref=refs/heads/a', 'https://h/r.git', { ref: 'refs/heads/a' }],
    ['https://h/r.git?ref=pull/42/head', 'https://h/r.git', { ref: 'pull/42/head' }],
    ['https://h/r.git?ref=v1#v1', 'https://h/r.git', { ref: 'v1' }],
    ['https://h/r.git?commit=ABCDEF1', 'https://h/r.git', { checksum: 'abcdef1' }],
    ['https://h/r.git?checksum=abcdef1&commit=abcdef1', 'https://h/r.git', { checksum: 'abcdef1' }],
    ['https://h/r.git?keep-git-dir', 'https://h/r.git', { keepGitDir: true }],
    ['https://h/r.git?keep-git-dir=', 'https://h/r.git', { keepGitDir: true }],
    ['https://h/r.git?keep-git-dir=F', 'https://h/r.git', { keepGitDir: false }],
    ['https://h/r.git?submodules=false', 'https://h/r.git', { submodules: false }],
    ['https://h/r.git?submodules', 'https://h/r.git', { submodules: true }],
    ['https://h/r.git?mtime=commit', 'https://h/r.git', { mtime: 'commit' }],
    ['https://h/r.git?mtime=checkout', 'https://h/r.git', { mtime: 'checkout' }],
    [
      `https://h/r.git?ref=main&commit=${sha}&fetch-by-commit`,
      'https://h/r.git',
      { ref: sha, checksum: sha },
    ],
    [
      `https://h/r.git?ref=main&commit=${sha}&fetch-by-commit=0`,
      'https://h/r.git',
      { ref: 'main', checksum: sha },
    ],
    ['https://me:p%40ss@h/r.git', 'https://h/r.git', { credentials: { username: 'me', password: 'p@ss' } }],
    ['https://token@h/r.git', 'https://h/r.git', { credentials: { username: 'token', password: '' } }],
  ])('reads the git URL %s', (text, remote, rest) => {
    expect(parseGitUrl(text)).toEqual({ ...plain, remote, ...rest })
  })

  it.each([
    '',
    '.',
    './.git',
    '../x.git',
    '.git',
    '/srv/x.git',
    'https://example.com/',
    'https://example.com/foo',
    'https://example.com/foo.git/',
    'https://example.com/foo.git.bar',
    'https://example.com/foo.tar.gz#x.git',
    'http://github.com/docker/docker.git:#branch',
    'custom.xyz/moby/buildkit.git',
    'git@github.com/foo/bar',
    'host:path',
    'file:///srv/x.git',
    'ext::sh -c id',
    'docker-image://a@b:c',
    'oci-layout://x@sha256:00',
    'ftp://h/x.git',
  ])('takes %j for no git URL', (text) => {
    expect(parseGitUrl(text)).toBeUndefined()
  })

  it.each([
    ['https://h/r.git?brnch=a', 'unexpected query "brnch"'],
    ['https://h/r.git?ref=a&ref=a', '"ref" has multiple values'],
    ['https://h/r.git?ref=', '"ref" has no value'],
    ['https://h/r.git?ref=a#b', 'ref conflicts: "b" vs "a"'],
    ['https://h/r.git?tag=a#a', 'ref conflicts: "a" vs "refs/tags/a"'],
    ['https://h/r.git?tag=a&branch=a', 'branch conflicts with tag'],
    ['https://h/r.git?subdir=a#:b', 'subdir conflicts: "b" vs "a"'],
    ['https://h/r.git?commit=abcdef1&checksum=abcdef2', 'checksum conflicts'],
    ['https://h/r.git?commit=abcdef', '7 to 64'],
    ['https://h/r.git?commit=main', '7 to 64'],
    ['https://h/r.git?mtime=now', 'neither "checkout" nor "commit"'],
    ['https://h/r.git?submodules=maybe', 'invalid submodules value: "maybe"'],
    ['https://h/r.git?keep-git-dir=2', 'invalid keep-git-dir value'],
    ['https://h/r.git?fetch-by-commit', 'needs the full commit'],
    ['https://h/r.git?fetch-by-commit&commit=abcdef1', 'needs the full commit'],
    ['https://h/r.git?ref=%zz', 'query is malformed'],
    ['https://h/r.git#%zz', 'fragment is malformed'],
    ['https://h/r.git#a b', 'cannot be a branch'],
    ['https://h/r.git#--upload-pack=x', 'cannot be a branch'],
    ['https://h/r.git#HEAD~1', 'cannot be a branch'],
    ['https://h/r.git#refs/heads/*', 'cannot be a branch'],
    ['https://h/r.git#a:..', 'outside of the repository'],
    ['https://h/r.git#:a/../../b', 'outside of the repository'],
    ['https://h/r.git#:.git', 'cannot be a directory'],
    ['https://h/r.git#:a/.GIT/b', 'cannot be a directory'],
    ['https://h/r.git#:a%00b', 'cannot be a directory'],
    ['https://-oProxyCommand=id/r.git', 'host'],
    ['ssh://-oProxyCommand=id/r', 'host'],
    ['ssh://h h/r', 'host'],
    ['ssh://-x@h/r', 'user name'],
    ['-x@h:r', 'user name'],
    ['git@h:-r', 'path is malformed'],
    ['git@h:', 'path is malformed'],
    ['ssh://h', 'no repository'],
    ['https://h/a\n.git', 'control character'],
    ['https://%zz@h/a.git', 'password is malformed'],
    ['https://a:b%0d%0aX@h/a.git', 'password is malformed'],
  ])('refuses %j and says why', (text, why) => {
    expect(() => parseGitUrl(text)).toThrow(
      expect.objectContaining({ code: 'ERR_URL_INVALID', message: expect.stringContaining(why) }),
    )
  })

  it('proposes the query that was meant', () => {
    expect(() => parseGitUrl('https://h/r.git?brnch=a')).toThrow(
      expect.objectContaining({ hints: ['Did you mean `branch`?'] }),
    )
  })

  it.each(['https://me:CANARY@h/r.git?x', 'https://me:a@CANARY@h/r.git?x', 'https://CANARY@h/r.git?x'])(
    'keeps the password of %s out of its error',
    (text) => {
      expect(() => parseGitUrl(text)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('CANARY') }),
      )
    },
  )
})

describe('parseGitUrl() of whatever', () => {
  const pieces = [
    ...['https://', 'http://', 'ssh://', 'git://', 'git@', 'github.com/', 'ext::', 'file://', '-o', '--'],
    ...[
      'h',
      'h:22',
      '[::1]',
      '/',
      '//',
      'r',
      '.git',
      '..',
      '.',
      ':',
      '#',
      '?',
      '&',
      '=',
      '@',
      '%',
      '%2f',
      '%00',
    ],
    ...[
      'ref',
      'tag',
      'branch',
      'subdir',
      'commit',
      'abcdef1',
      'true',
      'mtime',
      ' ',
      '\n',
      '\0',
      '\\',
      'é',
      '~',
      '*',
    ],
  ]

  it('gives undefined, ERR_URL_INVALID, or what is safe on a command line', () => {
    let state = 7
    const next = (limit: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * limit)
    }
    let parsed = 0
    for (let round = 0; round < 20_000; round++) {
      const tail = Array.from({ length: next(9) }, () => pieces[next(pieces.length)]).join('')
      const text = round % 2 === 0 ? tail : `https://h/r.git${tail}`
      try {
        const url = parseGitUrl(text)
        if (url === undefined) continue
        parsed += 1
        expect(url.remote).toMatch(/^(?:(?:https?|ssh|git):\/\/[^-]|[\w][\w-]*@[^-])/)
        expect(url.remote).not.toMatch(/[\n\0]|^\w+::|^file|^https?:\/\/[^/]*@/)
        expect(url.ref === '' || isGitRefName(url.ref)).toBe(true)
        expect(url.subdir.split('/')).not.toContain('..')
        expect(url.subdir).not.toMatch(/^\/|\/$|\/\/|\0/)
      } catch (error) {
        if (!isBuildError(error)) throw error
        expect(error.code).toBe('ERR_URL_INVALID')
      }
    }
    expect(parsed).toBeGreaterThan(500)
  })
})

describe('resolveSubmoduleRemote()', () => {
  const parent = (text: string) => {
    const remote = readGitRemote(text)
    if (typeof remote === 'string') throw new Error(remote)
    return remote
  }

  it.each([
    ['https://h/o/r.git', '../lib.git', 'https://h/o/lib.git'],
    ['https://h/o/r.git', './lib', 'https://h/o/r.git/lib'],
    ['https://h/o/r.git', '../../p/lib.git', 'https://h/p/lib.git'],
    ['ssh://git@h:22/o/r', '../lib', 'ssh://git@h:22/o/lib'],
    ['git@h:o/r.git', '../lib.git', 'git@h:o/lib.git'],
    ['git@h:/srv/r.git', '../lib.git', 'git@h:/srv/lib.git'],
    ['https://h/o/r.git', 'https://x/y', 'https://x/y'],
    ['https://h/o/r.git', 'host:path', 'host:path'],
  ])('of %s and %s is %s', (base, url, remote) => {
    expect(resolveSubmoduleRemote(parent(base), url)).toMatchObject({ remote })
  })

  it.each([
    '../../../lib.git',
    '/srv/lib.git',
    'file:///srv/lib.git',
    'lib.git',
    'ext::sh -c id',
    '-u',
    '--upload-pack=id',
    'ssh://-oProxyCommand=id/x',
    '-oProxyCommand=id:x',
    'fd::17',
    'https://h/x\nhttps://y',
    'https://h/x?y',
    '',
  ])('refuses %j', (url) => {
    expect(resolveSubmoduleRemote(parent('https://h/o/r.git'), url)).toEqual(expect.any(String))
  })
})

describe('isGitRefName()', () => {
  it.each(['main', 'refs/pull/1/head', 'v1.0', 'a@b', sha, 'feature/x_y-z', 'HEAD', 'é'])(
    'takes %j',
    (name) => {
      expect(isGitRefName(name)).toBe(true)
    },
  )

  it.each([
    '',
    '@',
    '-x',
    'a b',
    'a..b',
    'a~1',
    'a^',
    'a:b',
    'a?',
    'a*',
    'a[b',
    'a\\b',
    'a@{1}',
    '/a',
    'a/',
    'a//b',
  ])('refuses %j', (name) => {
    expect(isGitRefName(name)).toBe(false)
  })

  it.each(['.a', 'a.', 'a/.b', 'a.lock', 'a.lock/b', 'a\nb'])('refuses %j', (name) => {
    expect(isGitRefName(name)).toBe(false)
  })
})
