import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openStore } from '@tsbuild/store'
import { storeOptions, temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type GitFixture, openGitFixture } from '../testing/git-fixture.ts'
import type { TestRepository } from '../testing/repository.ts'

let fixture: GitFixture
let repository: TestRepository
let canary: string
beforeEach(async () => {
  fixture = await openGitFixture()
  repository = fixture.repository('r')
  canary = join(temporaryDirectory('canary-'), 'canary')
})

/** Commits a tree that git itself would not make, one `<mode> <type> <id>\t<name>` a line. */
function commitTree(lines: readonly string[], ref = 'refs/heads/main'): string {
  const tree = makeTree(lines)
  const commit = repository.git('commit-tree', '-m', 'm', tree)
  repository.git('update-ref', ref, commit)
  return commit
}

function makeTree(lines: readonly string[]): string {
  const entries = lines.map((line) => {
    const [, mode = '', id = '', name = ''] = /^(\d+) \w+ (\w+)\t(.*)$/.exec(line) ?? []
    return Buffer.concat([Buffer.from(`${mode.replace(/^0/, '')} ${name}\0`), Buffer.from(id, 'hex')])
  })
  return hash('tree', Buffer.concat(entries))
}

function hash(type: 'blob' | 'tree', content: string | Buffer): string {
  return execFileSync('git', ['hash-object', '-w', '-t', type, '--literally', '--stdin'], {
    cwd: repository.path,
    input: content,
  })
    .toString()
    .trim()
}

describe('what is refused before anything runs', { timeout: 60_000 }, () => {
  it.each([
    '--upload-pack=touch canary',
    '-u',
    'ext::sh -c "touch canary" %S',
    'fd::7',
    'file:///etc',
    '/etc',
    './r.git',
    'r.git',
    'ssh://-oProxyCommand=touch/x',
    '-oProxyCommand=touch:x',
    'git@h:-x',
    'https://h\n/r.git',
    'https://h/r.git?x',
    'transport::https://h/r.git',
    '',
  ])('the remote %j is ERR_URL_INVALID', async (remote) => {
    await expect(fixture.fetch({ remote })).rejects.toMatchObject({ code: 'ERR_URL_INVALID' })
  })

  it.each(['--upload-pack=x', '-x', 'a:b', '+main', 'main~1', 'refs/heads/*', ':', 'a b', 'a\nb', '^main'])(
    'the ref %j is ERR_URL_INVALID, or no ref',
    async (ref) => {
      repository.commit({ a: 'a' })
      await expect(fixture.fetch({ ref })).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_(?:URL_INVALID|GIT_REF_NOT_FOUND)$/),
      })
      expect(fixture.server.fetches()).toBe(0)
    },
  )
})

describe('hostile repositories', { timeout: 60_000 }, () => {
  it.each(['.git', '.GIT', '..', '.', 'a/b', '.g\u200cit'])(
    'a tree with an entry %j is refused',
    async (name) => {
      const blob = hash('blob', `#!/bin/sh\ntouch ${canary}\n`)
      const hooks = makeTree([`100755 blob ${blob}\tpost-checkout`])
      const inner = makeTree([`40000 tree ${hooks}\thooks`])
      commitTree([`40000 tree ${inner}\t${name}`])
      await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_GIT_FAILED' })
      expect(existsSync(canary)).toBe(false)
    },
  )

  it('a symlink and a directory of one name do not write outside', async () => {
    const target = temporaryDirectory('outside-')
    const link = hash('blob', target)
    const file = hash('blob', 'x')
    const inner = makeTree([`100644 blob ${file}\tescaped`])
    commitTree([`120000 blob ${link}\ta`, `40000 tree ${inner}\ta`])
    await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_GIT_FAILED' })
    expect(existsSync(join(target, 'escaped'))).toBe(false)
  })

  it('a submodule below a symlink does not write outside', async () => {
    const target = temporaryDirectory('outside-')
    const lib = fixture.repository('lib').commit({ escaped: 'x' })
    const modules = hash('blob', '[submodule "x"]\n\tpath = a/sub\n\turl = ../lib.git\n')
    const link = hash('blob', target)
    const inner = makeTree([`160000 commit ${lib}\tsub`])
    mkdirSync(join(target, 'sub'))
    commitTree([`100644 blob ${modules}\t.gitmodules`, `120000 blob ${link}\ta`, `40000 tree ${inner}\ta`])
    await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_GIT_FAILED' })
    expect(existsSync(join(target, 'sub', 'escaped'))).toBe(false)
  })

  it('.gitmodules that is a symlink is not read', async () => {
    commitTree([`120000 blob ${hash('blob', '/etc/passwd')}\t.gitmodules`])
    await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_GIT_FAILED' })
  })

  it('a tree that unfolds without end is ERR_GIT_CONTENT', async () => {
    const limits = { maxEntries: 10_000, maxBytes: 2 ** 30 }
    fixture = await openGitFixture({ sources: { limits } })
    repository = fixture.repository('r')
    let id = hash('blob', 'x')
    let kind = '100644 blob'
    for (let level = 0; level < 10; level++) {
      id = makeTree(Array.from({ length: 10 }, (_, index) => `${kind} ${id}\td${index}`))
      kind = '40000 tree'
    }
    repository.git('update-ref', 'refs/heads/main', repository.git('commit-tree', '-m', 'm', id))
    await expect(fixture.fetch()).rejects.toMatchObject({
      code: 'ERR_GIT_CONTENT',
      message: expect.stringContaining('limits'),
    })
  })

  it('the limits count bytes too, and all submodules together', async () => {
    fixture = await openGitFixture({ sources: { limits: { maxEntries: 100, maxBytes: 1000 } } })
    repository = fixture.repository('r')
    const lib = fixture.repository('lib').commit({ b: 'b'.repeat(600) })
    const modules = '[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n'
    repository.commit({ a: 'a'.repeat(600), '.gitmodules': modules, lib: { submodule: lib } })
    expect(await fixture.fetch({ submodules: false })).toBeDefined()
    await expect(fixture.fetch()).rejects.toMatchObject({ code: 'ERR_GIT_CONTENT' })
  })

  it('a filter, a hook, a monitor and an alias of the repository do not run', async () => {
    const script = { executable: `#!/bin/sh\ntouch ${canary}\ncat\n` }
    repository.commit({
      '.gitattributes': '* filter=evil diff=evil merge=evil\n',
      '.gitconfig': `[filter "evil"]\n\tsmudge = touch ${canary}\n[core]\n\tfsmonitor = ./monitor\n`,
      monitor: script,
      'hooks/post-checkout': script,
      'hooks/post-index-change': script,
    })
    await fixture.fetch({ keepGitDir: true })
    expect(existsSync(canary)).toBe(false)
  })

  it('a default branch that is called like an option is fetched as a ref', async () => {
    const commit = repository.commit({ a: 'a' }, { ref: 'refs/heads/--upload-pack=x' })
    repository.git('symbolic-ref', 'HEAD', 'refs/heads/--upload-pack=x')
    expect(await fixture.fetch({ keepGitDir: true })).toMatchObject({ pinned: commit })
  })

  it('a time beyond all clocks is no reason to fail', async () => {
    repository.commit({ a: 'a' }, { time: 2 ** 40 })
    expect(await fixture.fetch({ mtime: 'commit' })).toMatchObject({ sourceDate: 0 })
  })
})

describe('the configuration of the machine', { timeout: 60_000 }, () => {
  it('and the variables of the caller do not count', async () => {
    const home = temporaryDirectory('home-')
    const run = `touch ${canary}`
    writeFileSync(
      join(home, '.gitconfig'),
      `[core]\n\tfsmonitor = ${run}\n\thooksPath = ${home}/hooks\n\tsshCommand = ${run}\n[credential]\n\thelper = "!${run}"\n` +
        `[url "ext::${run} %S"]\n\tinsteadOf = http://\n[filter "x"]\n\tsmudge = ${run}\n`,
    )
    mkdirSync(join(home, 'hooks'))
    for (const hook of ['post-index-change', 'reference-transaction']) {
      writeFileSync(join(home, 'hooks', hook), `#!/bin/sh\n${run}\n`)
      chmodSync(join(home, 'hooks', hook), 0o755)
    }
    fixture = await openGitFixture({
      sources: {
        env: {
          PATH: process.env.PATH,
          HOME: home,
          XDG_CONFIG_HOME: home,
          GIT_CONFIG_GLOBAL: join(home, '.gitconfig'),
          GIT_CONFIG_SYSTEM: join(home, '.gitconfig'),
          GIT_SSH_COMMAND: run,
          GIT_ASKPASS: '/bin/false',
          GIT_TEMPLATE_DIR: home,
          GIT_DIR: '/nonexistent',
          GIT_PROXY_COMMAND: run,
        },
      },
    })
    fixture.repository('r').commit({ '.gitattributes': '* filter=x\n', a: 'a' })
    await fixture.fetch({ keepGitDir: true })
    expect(existsSync(canary)).toBe(false)
  })

  it('nor does a repository that the store lies in', async () => {
    const around = temporaryDirectory('around-')
    execFileSync('git', ['init', '--quiet', around])
    for (const [key, value] of [
      ['core.fsmonitor', `touch ${canary}`],
      [`url.ext::touch ${canary} %S.insteadOf`, 'http://'],
    ])
      execFileSync('git', ['config', key ?? '', value ?? ''], { cwd: around })
    const store = await openStore(storeOptions(join(around, 'store')))
    onTestFinished(() => store.close())
    fixture = await openGitFixture({ sources: { store } })
    const commit = fixture.repository('r').commit({ a: 'a' })
    expect(await fixture.fetch()).toMatchObject({ pinned: commit })
    expect(existsSync(canary)).toBe(false)
  })
})
