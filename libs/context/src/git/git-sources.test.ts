import { execFileSync } from 'node:child_process'
import { cpSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { type FetchedTree, fixtureSeconds, type GitFixture, openGitFixture } from '../testing/git-fixture.ts'
import type { TestRepository } from '../testing/repository.ts'

let fixture: GitFixture
let repository: TestRepository
beforeEach(async () => {
  fixture = await openGitFixture()
  repository = fixture.repository('r')
})

const read = ({ path }: FetchedTree, name: string) => readFileSync(join(path, name), 'utf8')
const list = ({ path }: FetchedTree) => readdirSync(path).sort()
const fetchBodies = () =>
  fixture.server.requests.filter(({ command }) => command === 'fetch').map(({ body }) => body)

describe('what is fetched', { timeout: 60_000 }, () => {
  it('the default branch, its newest commit only, and nothing of .git', async () => {
    repository.commit({ a: 'old' })
    const commit = repository.commit({ a: 'new', 'd/b': 'b' })
    const tree = await fixture.fetch()
    expect(tree).toMatchObject({ pinned: commit, sourceDate: 1_600_000_000, shown: fixture.remote('r') })
    expect(list(tree)).toEqual(['a', 'd'])
    expect(read(tree, 'a')).toBe('new')
    expect(fetchBodies()).toEqual([expect.stringContaining('deepen 1')])
  })

  it('files are 0644 or 0755, directories 0755, symlinks are kept', async () => {
    repository.commit({ f: 'f', x: { executable: 'x' }, 'd/e/f': '', l: { symlink: '/etc/passwd' } })
    const { path } = await fixture.fetch()
    const mode = (name: string) => lstatSync(join(path, name)).mode & 0o7777
    expect(['', 'f', 'x', 'd', 'd/e', 'd/e/f'].map(mode)).toEqual([0o755, 0o644, 0o755, 0o755, 0o755, 0o644])
    expect(readlinkSync(join(path, 'l'))).toBe('/etc/passwd')
  })

  it.each([
    ['checkout', fixtureSeconds],
    ['commit', 1_234_567_890],
  ] as const)('mtime %s is that of every file, directory and symlink', async (mtime, seconds) => {
    repository.commit({ 'd/f': 'f', l: { symlink: 'd' } }, { time: 1_234_567_890 })
    const { path } = await fixture.fetch({ mtime })
    const time = (name: string) => lstatSync(join(path, name)).mtimeMs / 1000
    expect(['', 'd', 'd/f', 'l'].map(time)).toEqual([seconds, seconds, seconds, seconds])
  })

  it('names that are no UTF-8 and blanks are kept', async () => {
    repository.commit({ 'a b\n': 'x' })
    const blob = execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: repository.path, input: 'y' })
    const tree = execFileSync('git', ['mktree', '-z'], {
      cwd: repository.path,
      input: Buffer.concat([
        Buffer.from(`100644 blob ${blob.toString().trim()}\t`),
        Buffer.from([0x66, 0xe9]),
        Buffer.from('\0'),
      ]),
    })
    const commit = repository.git('commit-tree', '-m', 'm', tree.toString().trim())
    repository.git('update-ref', 'refs/heads/latin1', commit)
    const { path } = await fixture.fetch({ ref: 'latin1' })
    expect(readdirSync(path, { encoding: 'buffer' })).toEqual([Buffer.from([0x66, 0xe9])])
    expect(list(await fixture.fetch())).toEqual(['a b\n'])
  })

  it('an empty tree is an empty directory', async () => {
    repository.commit({})
    expect(list(await fixture.fetch())).toEqual([])
  })

  it('the attributes of the repository count, its filters do not', async () => {
    repository.commit({
      '.gitattributes': 'crlf eol=crlf\nbig filter=lfs diff=lfs\n',
      crlf: 'a\nb\n',
      big: 'version https://git-lfs\n',
    })
    const tree = await fixture.fetch()
    expect(read(tree, 'crlf')).toBe('a\r\nb\r\n')
    expect(read(tree, 'big')).toBe('version https://git-lfs\n')
  })

  it('repositories with sha256 ids', async () => {
    const commit = fixture.repository('s', 'sha256').commit({ a: 'a' })
    expect(commit).toHaveLength(64)
    const remote = fixture.remote('s')
    expect(read(await fixture.fetch({ remote }), 'a')).toBe('a')
    expect(await fixture.fetch({ remote, ref: commit })).toMatchObject({ pinned: commit })
    expect(await fixture.fetch({ remote, ref: commit.slice(0, 9) })).toMatchObject({ pinned: commit })
  })
})

describe('refs', { timeout: 60_000 }, () => {
  it.each(['dev', 'heads/dev', 'refs/heads/dev'])('a branch as %s', async (ref) => {
    repository.commit({ a: 'main' })
    const commit = repository.commit({ a: 'dev' }, { ref: 'refs/heads/dev' })
    expect(await fixture.fetch({ ref })).toMatchObject({
      pinned: commit,
      shown: `${fixture.remote('r')}#${ref}`,
    })
  })

  it('a light tag and an annotated tag are their commits', async () => {
    const commit = repository.commit({ a: 'a' })
    repository.git('tag', 'light')
    repository.git('tag', '-a', '-m', 'm', 'annotated')
    repository.commit({ a: 'later' })
    for (const ref of ['light', 'annotated', 'refs/tags/annotated', 'tags/annotated'])
      expect(await fixture.fetch({ ref })).toMatchObject({ pinned: commit })
    expect(fixture.server.fetches()).toBe(1)
  })

  it('the own id of an annotated tag', async () => {
    const commit = repository.commit({ a: 'a' })
    repository.git('tag', '-a', '-m', 'm', 'annotated')
    const tag = repository.git('rev-parse', 'annotated')
    expect(await fixture.fetch({ ref: tag })).toMatchObject({ pinned: commit })
  })

  it('a branch comes before a tag of its name', async () => {
    repository.commit({ a: 'tag' })
    repository.git('tag', 'both')
    const commit = repository.commit({ a: 'branch' }, { ref: 'refs/heads/both' })
    expect(await fixture.fetch({ ref: 'both' })).toMatchObject({ pinned: commit })
  })

  it.each(['refs/pull/1/head', 'pull/1/head'])('%s, which is no branch', async (ref) => {
    repository.commit({ a: 'main' })
    const commit = repository.commit({ a: 'pull' }, { ref: 'refs/pull/1/head' })
    expect(await fixture.fetch({ ref })).toMatchObject({ pinned: commit })
  })

  it('a HEAD that is no branch', async () => {
    const commit = repository.commit({ a: 'first' })
    repository.commit({ a: 'second' })
    repository.git('update-ref', '--no-deref', 'HEAD', commit)
    expect(await fixture.fetch()).toMatchObject({ pinned: commit })
  })

  it('a whole commit that no ref points to is fetched alone', async () => {
    const commit = repository.commit({ a: 'first' })
    repository.commit({ a: 'second' })
    expect(read(await fixture.fetch({ ref: commit }), 'a')).toBe('first')
    expect(fixture.server.requests.some(({ command }) => command === 'ls-refs')).toBe(false)
    expect(fetchBodies()).toEqual([expect.stringContaining('deepen 1')])
  })

  it('a whole commit is found in the history where the server hands out no single ones', async () => {
    fixture = await openGitFixture({ oldProtocol: true })
    repository = fixture.repository('r')
    const commit = repository.commit({ a: 'first' })
    repository.commit({ a: 'second' })
    expect(read(await fixture.fetch({ ref: commit }), 'a')).toBe('first')
    expect(read(await fixture.fetch({ ref: 'main' }), 'a')).toBe('second')
  })

  it('a whole commit is found behind what was fetched shallowly before', async () => {
    fixture = await openGitFixture({ oldProtocol: true })
    repository = fixture.repository('r')
    const commit = repository.commit({ a: 'first' })
    repository.commit({ a: 'second' })
    await fixture.fetch()
    expect(read(await fixture.fetch({ ref: commit }), 'a')).toBe('first')
  })

  it('an abbreviated commit', async () => {
    const commit = repository.commit({ a: 'first' })
    const tip = repository.commit({ a: 'second' })
    expect(await fixture.fetch({ ref: commit.slice(0, 8) })).toMatchObject({ pinned: commit })
    expect(await fixture.fetch({ ref: tip.slice(0, 8) })).toMatchObject({ pinned: tip })
  })

  it('a branch whose name looks like an abbreviated commit is the branch', async () => {
    const other = repository.commit({ a: 'first' })
    const commit = repository.commit({ a: 'second' }, { ref: `refs/heads/${other.slice(0, 8)}` })
    expect(await fixture.fetch({ ref: other.slice(0, 8) })).toMatchObject({ pinned: commit })
  })

  it.each(['nope', 'refs/heads/nope', 'abcdef12', 'ab'.repeat(20)])(
    'ERR_GIT_REF_NOT_FOUND for %s',
    async (ref) => {
      repository.commit({ a: 'a' })
      await expect(fixture.fetch({ ref })).rejects.toMatchObject({
        code: 'ERR_GIT_REF_NOT_FOUND',
        message: expect.stringContaining(`"${ref}"`),
      })
    },
  )

  it('ERR_GIT_REF_NOT_FOUND for an empty repository', async () => {
    await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_GIT_REF_NOT_FOUND' })
  })

  it('a branch that moves between the question and the fetch gives the commit that was answered', async () => {
    let moved = ''
    fixture = await openGitFixture({
      oldProtocol: true,
      intercept: async ({ command }) => {
        if (command === 'fetch' && moved === '') moved = repository.commit({ a: 'second' })
        return false
      },
    })
    repository = fixture.repository('r')
    const commit = repository.commit({ a: 'first' })
    expect(await fixture.fetch()).toMatchObject({ pinned: commit })
    expect(moved).toMatch(/^[0-9a-f]{40}$/)
    expect(await fixture.fetch()).toMatchObject({ pinned: moved })
  })
})

describe('--checksum', { timeout: 60_000 }, () => {
  it.each([7, 12, 40])('%d digits of the commit are enough', async (length) => {
    const commit = repository.commit({ a: 'a' })
    expect(await fixture.fetch({ checksum: commit.slice(0, length) })).toMatchObject({ pinned: commit })
  })

  it('the id of the annotated tag counts too', async () => {
    const commit = repository.commit({ a: 'a' })
    repository.git('tag', '-a', '-m', 'm', 'v1')
    const checksum = repository.git('rev-parse', 'v1').slice(0, 10)
    expect(await fixture.fetch({ ref: 'v1', checksum })).toMatchObject({ pinned: commit })
    const tag = repository.git('rev-parse', 'v1')
    expect(await fixture.fetch({ ref: tag, checksum: commit })).toMatchObject({ pinned: commit })
  })

  it.each([
    ['a branch', () => ''],
    ['a whole commit', () => repository.git('rev-parse', 'HEAD')],
    ['an abbreviated commit', () => repository.git('rev-parse', 'HEAD').slice(0, 9)],
  ])('another commit is ERR_DIGEST_MISMATCH for %s', async (_what, ref) => {
    const commit = repository.commit({ a: 'a' })
    await expect(fixture.fetch({ ref: ref(), checksum: 'abcdef0' })).rejects.toMatchObject({
      code: 'ERR_DIGEST_MISMATCH',
      message: expect.stringContaining(commit),
    })
  })

  it('with the whole commit and its tree at hand no server is asked', async () => {
    const commit = repository.commit({ a: 'a' })
    const { tree } = await fixture.fetch()
    const before = fixture.server.requests.length
    expect((await fixture.fetch({ ref: 'main', checksum: commit })).tree).toEqual(tree)
    expect((await fixture.fetch({ ref: commit })).tree).toEqual(tree)
    const other = { ref: commit, checksum: 'abcdef0' }
    await expect(fixture.fetch(other)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
    expect(fixture.server.requests).toHaveLength(before)
  })
})

describe('what is known', { timeout: 60_000 }, () => {
  it('a ref that has not moved is not fetched again', async () => {
    repository.commit({ a: 'a' })
    const { tree } = await fixture.fetch()
    expect((await fixture.fetch()).tree).toEqual(tree)
    expect(fixture.server.fetches()).toBe(1)
  })

  it('a commit that the repository has is checked out anew for another directory or time without a fetch', async () => {
    repository.commit({ 'd/a': 'a' })
    await fixture.fetch()
    expect(list(await fixture.fetch({ subdir: 'd' }))).toEqual(['a'])
    await fixture.fetch({ mtime: 'commit' })
    await fixture.fetch({ keepGitDir: true })
    expect(fixture.server.fetches()).toBe(1)
  })

  it('a second commit is fetched as a difference', async () => {
    const noise = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7919) % 251))
    const first = repository.commit({ a: 'a', noise })
    await fixture.fetch()
    repository.commit({ a: 'b', noise })
    expect(read(await fixture.fetch(), 'a')).toBe('b')
    expect(fetchBodies()[1]).toContain(`have ${first}`)
  })

  it('two at once fetch once', async () => {
    repository.commit({ a: 'a' })
    const [one, two] = await Promise.all([fixture.fetch(), fixture.fetch()])
    expect(one).toEqual(two)
    expect(fixture.server.fetches()).toBe(1)
  })

  it('a repository of the store that is damaged is made anew', async () => {
    repository.commit({ a: 'a' })
    await fixture.fetch()
    const work = await fixture.store.sources.workDirectory(`git ${fixture.remote('r')}`)
    execFileSync('sh', ['-c', 'rm -f "$1"/sha1.git/objects/pack/*', 'sh', work])
    expect(list(await fixture.fetch({ mtime: 'commit' }))).toEqual(['a'])
    execFileSync('sh', ['-c', 'echo x > "$1"/sha1.git/HEAD', 'sh', work])
    expect(list(await fixture.fetch({ submodules: false }))).toEqual(['a'])
    expect(fixture.server.fetches()).toBe(3)
  })

  it('many fetches do not leave many packs, and what was fetched last stays', async () => {
    const work = await fixture.store.sources.workDirectory(`git ${fixture.remote('r')}`)
    const packs = () =>
      readdirSync(join(work, 'sha1.git/objects/pack')).filter((name) => name.endsWith('.pack')).length
    let commit = ''
    for (let index = 0; index < 3; index++) {
      commit = repository.commit({ a: `${index}` })
      await fixture.fetch()
    }
    expect(packs()).toBe(3)
    const pack = join(work, 'sha1.git/objects/pack')
    const [one = ''] = readdirSync(pack).filter((name) => name.endsWith('.pack'))
    // As if there had been many more: what counts is how many there are.
    for (let index = 0; index < 50; index++) {
      for (const end of ['pack', 'idx'])
        cpSync(
          join(pack, one.replace(/pack$/, end)),
          join(pack, `pack-${`${index}`.padStart(40, '0')}.${end}`),
        )
    }
    expect(await fixture.fetch({ mtime: 'commit' })).toMatchObject({ pinned: commit })
    expect(packs()).toBe(1)
    expect(fixture.server.fetches()).toBe(3)
    repository.commit({ a: 'next' })
    expect(read(await fixture.fetch(), 'a')).toBe('next')
  })

  it('what a killed git left does not stop the next', async () => {
    repository.commit({ a: 'a' })
    await fixture.fetch()
    const work = await fixture.store.sources.workDirectory(`git ${fixture.remote('r')}`)
    const commit = repository.commit({ a: 'b' })
    const stale = [
      'gc.pid',
      'refs/x.lock',
      'objects/pack/tmp_pack_x',
      'shallow.lock',
      'packed-refs.lock',
      'config.lock',
      `refs/tsbuild/${commit}.lock`,
    ]
    execFileSync('sh', ['-c', 'cd "$1" && shift && touch "$@"', 'sh', join(work, 'sha1.git'), ...stale])
    expect(read(await fixture.fetch(), 'a')).toBe('b')
    expect(fixture.server.fetches()).toBe(2)
  })
})

describe('a directory of the repository', { timeout: 60_000 }, () => {
  it('is all there is', async () => {
    repository.commit({ a: 'a', 'd/e/b': 'b', 'd/e/.c': 'c', 'd/x': 'x' })
    const tree = await fixture.fetch({ subdir: 'd/e' })
    expect(list(tree)).toEqual(['.c', 'b'])
    expect(tree.shown).toBe(`${fixture.remote('r')}#:d/e`)
  })

  it.each([
    ['nope', 'no such directory'],
    ['d/nope', 'no such directory'],
    ['f', '"f" is no directory'],
    ['f/x', '"f" is no directory'],
    ['out', '"out" is a symlink'],
    ['in', '"in" is a symlink'],
    ['d/out/etc', '"d/out" is a symlink'],
    ['..', '".." is no name'],
  ])('%s is refused with ERR_GIT_CONTENT', async (subdir, why) => {
    repository.commit({
      f: '',
      'd/x': '',
      out: { symlink: '/' },
      in: { symlink: 'd' },
      'd/out': { symlink: '../../../../..' },
    })
    await expect(fixture.fetch({ subdir })).rejects.toMatchObject({
      code: 'ERR_GIT_CONTENT',
      message: expect.stringContaining(why),
    })
  })
})

describe('--keep-git-dir', { timeout: 60_000 }, () => {
  const inTree = ({ path }: FetchedTree, ...args: readonly string[]) =>
    execFileSync('git', ['-c', 'safe.directory=*', ...args], {
      cwd: path,
      env: { PATH: process.env.PATH, HOME: '/nonexistent' },
    })
      .toString()
      .trim()

  it('keeps a .git that can be used, with the branch and origin', async () => {
    repository.commit({ a: 'first' })
    const commit = repository.commit({ a: 'a', x: { executable: 'x' } })
    const tree = await fixture.fetch({ keepGitDir: true })
    expect(list(tree)).toEqual(['.git', 'a', 'x'])
    expect(inTree(tree, 'status', '--porcelain')).toBe('')
    expect(inTree(tree, 'rev-parse', 'HEAD', 'refs/heads/main')).toBe(`${commit}\n${commit}`)
    expect(inTree(tree, 'rev-list', '--count', 'HEAD')).toBe('1')
    expect(inTree(tree, 'config', 'remote.origin.url')).toBe(fixture.remote('r'))
    inTree(tree, 'fsck', '--strict')
    expect(readdirSync(join(tree.path, '.git'))).not.toContain('hooks')
  })

  it('keeps an annotated tag, so that git describe names it', async () => {
    repository.commit({ a: 'a' })
    repository.git('tag', '-a', '-m', 'm', 'v1.2')
    expect(inTree(await fixture.fetch({ ref: 'v1.2', keepGitDir: true }), 'describe')).toBe('v1.2')
  })

  it('is another tree for another ref', async () => {
    repository.commit({ a: 'a' })
    repository.git('tag', 'v1')
    const branch = await fixture.fetch({ keepGitDir: true })
    const tag = await fixture.fetch({ ref: 'v1', keepGitDir: true })
    expect(inTree(tag, 'tag')).toBe('v1')
    expect(inTree(branch, 'tag')).toBe('')
  })

  it('keeps none for a directory of the repository', async () => {
    repository.commit({ 'd/a': 'a' })
    expect(list(await fixture.fetch({ keepGitDir: true, subdir: 'd' }))).toEqual(['a'])
  })

  it('works with sha256 ids', async () => {
    const commit = fixture.repository('s', 'sha256').commit({ a: 'a' })
    const tree = await fixture.fetch({ remote: fixture.remote('s'), keepGitDir: true })
    expect(inTree(tree, 'rev-parse', 'HEAD')).toBe(commit)
    expect(inTree(tree, 'status', '--porcelain')).toBe('')
  })
})
