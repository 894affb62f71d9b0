import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { type FetchedTree, type GitFixture, openGitFixture } from '../testing/git-fixture.ts'
import type { TestRepository } from '../testing/repository.ts'

let fixture: GitFixture
let repository: TestRepository
let library: TestRepository
let canary: string
beforeEach(async () => {
  fixture = await openGitFixture()
  repository = fixture.repository('r')
  library = fixture.repository('lib')
  canary = join(temporaryDirectory('canary-'), 'canary')
})

const read = ({ path }: FetchedTree, name: string) => readFileSync(join(path, name), 'utf8')
const modules = (...rows: readonly (readonly [path: string, url: string, more?: string])[]) =>
  rows
    .map(([path, url, more = '']) => `[submodule "${path}"]\n\tpath = ${path}\n\turl = ${url}\n${more}`)
    .join('')

describe('submodules', { timeout: 60_000 }, () => {
  it('are fetched at the recorded commit, shallowly, and into each other', async () => {
    const deep = fixture.repository('deep').commit({ c: 'deep' })
    library.commit({ b: 'old' })
    const lib = library.commit({
      b: 'lib',
      '.gitmodules': modules(['deep', '../deep.git']),
      deep: { submodule: deep },
    })
    library.commit({ b: 'newer' })
    repository.commit({
      a: 'a',
      '.gitmodules': modules(['vendor/lib', fixture.remote('lib')]),
      'vendor/lib': { submodule: lib },
    })
    const tree = await fixture.fetch()
    expect(read(tree, 'vendor/lib/b')).toBe('lib')
    expect(read(tree, 'vendor/lib/deep/c')).toBe('deep')
    const fetches = fixture.server.requests.filter(({ command }) => command === 'fetch')
    expect(fetches.map(({ url }) => url.split('/')[1])).toEqual(['r.git', 'lib.git', 'deep.git'])
    expect(fetches.every(({ body }) => body.includes('deepen 1'))).toBe(true)
  })

  it('are empty directories with submodules=false, and then nobody is asked for them', async () => {
    const lib = library.commit({ b: 'lib' })
    repository.commit({ '.gitmodules': modules(['lib', '../lib.git']), lib: { submodule: lib } })
    const tree = await fixture.fetch({ submodules: false })
    expect(readdirSync(join(tree.path, 'lib'))).toEqual([])
    expect(fixture.server.requests.some(({ url }) => url.startsWith('/lib.git'))).toBe(false)
  })

  it('that no branch or tag of their repository has are fetched all the same', async () => {
    const lib = library.commit({ b: 'gone' })
    library.git('update-ref', '-d', 'refs/heads/main')
    library.commit({ b: 'other' })
    repository.commit({ '.gitmodules': modules(['lib', '../lib.git']), lib: { submodule: lib } })
    expect(read(await fixture.fetch(), 'lib/b')).toBe('gone')
  })

  it('outside of the wanted directory are left out, and a directory may be within one', async () => {
    const lib = library.commit({ 'src/b': 'lib', other: '' })
    repository.commit({
      'd/a': 'a',
      '.gitmodules': modules(['lib', '../lib.git'], ['gone', '../gone.git']),
      lib: { submodule: lib },
      gone: { submodule: lib },
    })
    expect(readdirSync((await fixture.fetch({ subdir: 'd' })).path)).toEqual(['a'])
    expect(fixture.server.requests.some(({ url }) => url.startsWith('/lib.git'))).toBe(false)
    expect(read(await fixture.fetch({ subdir: 'lib/src' }), 'b')).toBe('lib')
  })

  it('with update = none are left out', async () => {
    repository.commit({
      '.gitmodules': modules(['lib', '../gone.git', '\tupdate = none\n']),
      lib: { submodule: 'ab'.repeat(20) },
    })
    expect(readdirSync(join((await fixture.fetch()).path, 'lib'))).toEqual([])
  })

  it('are usable repositories with --keep-git-dir', async () => {
    const lib = library.commit({ b: 'lib' })
    repository.commit({ '.gitmodules': modules(['lib', '../lib.git']), lib: { submodule: lib } })
    const path = (await fixture.fetch({ keepGitDir: true })).path
    const git = (...args: readonly string[]) =>
      execFileSync('git', ['-c', 'safe.directory=*', '-C', path, ...args], {
        env: { PATH: process.env.PATH, HOME: '/nonexistent' },
      }).toString()
    expect(git('status', '--porcelain')).toBe('')
    expect(git('submodule', 'status')).toMatch(new RegExp(`^ ${lib} lib`))
    expect(git('-C', 'lib', 'rev-parse', 'HEAD').trim()).toBe(lib)
  })

  it('without a URL in .gitmodules are ERR_GIT_CONTENT', async () => {
    repository.commit({ lib: { submodule: 'ab'.repeat(20) } })
    await expect(fixture.fetch()).rejects.toMatchObject({
      code: 'ERR_GIT_CONTENT',
      message: expect.stringContaining('the submodule "lib"'),
    })
    expect(await fixture.fetch({ submodules: false })).toBeDefined()
  })

  it('whose commit is nowhere are ERR_GIT_REF_NOT_FOUND', async () => {
    library.commit({ b: 'b' })
    repository.commit({ '.gitmodules': modules(['lib', '../lib.git']), lib: { submodule: 'ab'.repeat(20) } })
    await expect(fixture.fetch()).rejects.toMatchObject({
      code: 'ERR_GIT_REF_NOT_FOUND',
      message: expect.stringContaining(fixture.remote('lib')),
    })
  })

  it('two repositories that have each other as submodules do not wait for each other', async () => {
    const first = library.commit({ b: '1' })
    const second = repository.commit({
      a: '1',
      '.gitmodules': modules(['lib', '../lib.git']),
      lib: { submodule: first },
    })
    library.commit({ b: '2', '.gitmodules': modules(['r', '../r.git']), r: { submodule: second } })
    const [one, two] = await Promise.all([fixture.fetch(), fixture.fetch({ remote: fixture.remote('lib') })])
    expect(read(one, 'lib/b')).toBe('1')
    expect(read(two, 'r/lib/b')).toBe('1')
  })
})

describe('hostile submodules', { timeout: 60_000 }, () => {
  it.each([
    ['a path of this machine', '/etc'],
    ['file:', 'file:///etc'],
    ['a program', 'ext::touch CANARY% %G'],
    ['a descriptor', 'fd::17'],
    ['an option', '--upload-pack=touch CANARY'],
    ['an option of ssh', 'ssh://-oProxyCommand=touch$IFS/x'],
    ['an option of ssh in the short form', '-oProxyCommand=touch:x'],
    ['a line break', '"https://example.org/a\\nhttps://example.org/b"'],
    ['more directories than there are', '../../../lib.git'],
  ])('%s as the URL is refused', async (_what, url) => {
    repository.commit({
      '.gitmodules': modules(['lib', url.replace('CANARY', canary)]),
      lib: { submodule: 'ab'.repeat(20) },
    })
    const error = await fixture.fetch().catch((caught: unknown) => caught)
    // git's own check refuses some of them before ours does.
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_GIT_(?:CONTENT|FAILED)$/) })
    expect(existsSync(canary)).toBe(false)
  })

  it.each(['.git/x', '../x', 'a/../../x', '.GIT/modules/x'])('the path %s is refused', async (path) => {
    const lib = library.commit({ b: 'b' })
    repository.commit({
      '.gitmodules': `[submodule "x"]\n\tpath = ${path}\n\turl = ../lib.git\n`,
      lib: { submodule: lib },
    })
    await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_GIT_CONTENT' })
  })

  it('commands in .gitmodules are not run', async () => {
    const lib = library.commit({ b: 'lib' })
    const more = `\tupdate = !touch ${canary}\n\tbranch = nope\n[core]\n\tfsmonitor = touch ${canary}\n`
    repository.commit({ '.gitmodules': modules(['lib', '../lib.git', more]), lib: { submodule: lib } })
    await fixture.fetch().catch(() => undefined)
    expect(existsSync(canary)).toBe(false)
  })

  it('a chain of repositories ends', async () => {
    let id = library.commit({ end: '' })
    for (let index = 0; index < 17; index++) {
      id = library.commit({ '.gitmodules': modules(['lib', '../lib.git']), lib: { submodule: id } })
    }
    repository.commit({ '.gitmodules': modules(['lib', '../lib.git']), lib: { submodule: id } })
    await expect(fixture.fetch()).rejects.toMatchObject({
      code: 'ERR_GIT_CONTENT',
      message: expect.stringContaining('more than 16'),
    })
  })
})
