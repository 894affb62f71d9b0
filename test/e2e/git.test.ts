import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GitServer, serveRepositories } from '../../libs/context/src/testing/git-server.ts'
import { createRepository, type TestRepository } from '../../libs/context/src/testing/repository.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

const canary = 'CANARY-5e7f00d5'
const encoded = Buffer.from(`x-access-token:${canary}`).toString('base64')

let workspace: Workspace
let repositories: string
let repository: TestRepository
let server: GitServer
let count = 0
beforeAll(() => {
  workspace = openWorkspace('git')
})
afterAll(() => workspace.remove())
beforeEach(async () => {
  count += 1
  repositories = workspace.path(`repositories-${count}`)
  repository = createRepository(repositories, 'r')
  server = await serveRepositories(repositories)
})

const url = (rest = '') => `${server.origin}/r.git${rest}`
const output = () => workspace.path(`out-${count}`)
const buildTo = (args: readonly string[], options = {}) =>
  workspace.tsbuild.build(['-o', `type=local,dest=${output()}`, ...args], options)
const read = (name: string) => readFileSync(`${output()}/${name}`, 'utf8')

describe('a git repository', () => {
  it('is the context, with its Dockerfile, a ref and a directory', async () => {
    repository.commit({ 'app/Dockerfile': 'FROM scratch\nCOPY . /\n', 'app/a': 'tagged' })
    repository.git('tag', 'v1')
    repository.commit({ a: 'later' })
    await buildTo([url('#v1:app')])
    expect(read('a')).toBe('tagged')
  })

  it('is a named context and a source of ADD, and a second build fetches nothing', async () => {
    repository.commit({ 'd/a': 'a', b: 'b' })
    const context = workspace.context(`context-${count}`, {
      Dockerfile: `FROM scratch\nCOPY --from=code b /named/\nADD ${url('#main:d')} /added/\n`,
    })
    const args = ['--build-context', `code=${url()}`, context]
    await buildTo(args)
    expect([read('named/b'), read('added/a')]).toEqual(['b', 'a'])
    const fetches = server.fetches()
    const steps = await buildTo(args)
    expect(server.fetches()).toBe(fetches)
    expect(steps.executed.filter((name) => /COPY|ADD/.test(name))).toEqual([])
    repository.commit({ 'd/a': 'new', b: 'b' })
    expect((await buildTo(args)).executed).toContainEqual(expect.stringContaining('ADD'))
    expect(read('added/a')).toBe('new')
  })
})

describe('hostile repositories and secrets', () => {
  it('GIT-01: a directory that is a symlink is refused, with the line of the Dockerfile', async () => {
    repository.commit({ proj: { symlink: '/' } })
    const context = workspace.context(`context-${count}`, {
      Dockerfile: `FROM scratch\nADD ${url('#main:proj')} /\n`,
    })
    const outcome = await workspace.tsbuild.run(['build', context])
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain('ERR_GIT_CONTENT')
    expect(outcome.stderr).toContain('Dockerfile:2')
  })

  it.each([
    ['a secret', (dockerfile: string) => [dockerfile, '--secret', 'id=GIT_AUTH_TOKEN,env=TOKEN']],
    ['the URL of a context', () => [url().replace('//', `//x-access-token:${canary}@`)]],
  ])(
    'GIT-04: credentials of %s are sent, and are in no output, log or file of the store',
    async (_what, args) => {
      server = await serveRepositories(repositories, {
        intercept: ({ authorization }, response) => {
          if (authorization !== undefined) return false
          response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
          return true
        },
      })
      const dockerfile = `FROM scratch\nADD ${url('?keep-git-dir')} /\n`
      repository.commit({ Dockerfile: 'FROM scratch\nCOPY . /\n' })
      const context = workspace.context(`context-${count}`, { Dockerfile: dockerfile })
      const outcome = await workspace.tsbuild.run(
        ['build', '--progress', 'json', '-o', `type=local,dest=${output()}`, ...args(context)],
        { env: { TOKEN: canary } },
      )
      expect(outcome).toMatchObject({ code: 0 })
      expect(server.requests.at(-1)?.authorization).toBe(`basic ${encoded}`)
      const pattern = `${canary}|${encoded}`
      expect(outcome.stdout + outcome.stderr).not.toMatch(new RegExp(pattern))
      const places = [output(), workspace.tsbuild.root]
      const found = execFileSync('sh', ['-c', 'grep -rlE "$@" || true', 'sh', pattern, ...places])
      expect(found.toString()).toBe('')
    },
  )
})
