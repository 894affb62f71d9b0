import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRepository } from '../../libs/context/src/testing/repository.ts'
import { needs } from '../support/capabilities.ts'
import { startNpmRegistry } from '../support/npm-registry.ts'
import { repository } from '../support/repository.ts'
import { startSshd } from '../support/sshd.ts'
import { check, run } from '../support/tsbuild.ts'
import { openDebianWorkspace, type Workspace } from '../support/workspace.ts'

/** For steps that reach a server of the test, on the machine's own loopback address. */
const hostNetwork = ['--network', 'host', '--allow', 'network.host']

let workspace: Workspace
beforeAll(async () => {
  workspace = await openDebianWorkspace('real-projects')
})
afterAll(() => workspace?.remove())

/** A copy of an example, to be changed. */
function copyOf(name: string): string {
  const folder = workspace.path(name)
  cpSync(join(repository, 'examples', name), folder, { recursive: true })
  return folder
}

describe('examples/debian-package', { timeout: 600_000 }, () => {
  const project = join(repository, 'examples/debian-package')

  it('builds a package with dpkg-buildpackage and fakeroot as an ordinary user', async () => {
    const out = workspace.path('packages')
    await workspace.tsbuild.check(['--progress', 'plain', '-o', out, project])
    const packages = readdirSync(out).filter((name) => /^greeting_1\.0_\w+\.deb$/.test(name))
    expect(packages).toHaveLength(1)
    const listed = await check('dpkg-deb', ['--contents', join(out, packages[0] ?? '')])
    expect(listed).toMatch(/^-rwxr-sr-x root\/games +\d+ .*\.\/usr\/games\/greeting$/m)
    expect(listed).not.toContain('builder')
  })

  it('installs it where no compiler is', async () => {
    const { code, stderr } = await workspace.tsbuild.run(['--progress', 'plain', '--target', 'test', project])
    expect(stderr).toContain('Good day!')
    expect(code).toBe(0)
  })
})

describe('examples/npm-private-registry', { timeout: 900_000 }, () => {
  const token = 'npm_CANARY0f8e2b71d4'
  const greeting = {
    name: '@acme/greeting',
    version: '1.2.0',
    files: { 'index.js': "exports.greet = (whom) => 'Hello, ' + whom + '!'\n" },
  }

  it('installs with a token that nothing keeps, and the second time from the cache mount', async () => {
    const registry = await startNpmRegistry(token, [greeting])
    try {
      const context = copyOf('npm-private-registry')
      const npmrc = workspace.path('npmrc')
      const lines = [`@acme:registry=http://${registry.host}/`, `//${registry.host}/:_authToken=${token}`]
      writeFileSync(npmrc, `${lines.join('\n')}\n`)
      const args = [...hostNetwork, '--secret', `id=npmrc,src=${npmrc}`, '-t', 'app:1.0', context]
      await workspace.tsbuild.build(args)
      expect(await workspace.tsbuild.check(['run', '--network', 'none', 'app:1.0'])).toBe('Hello, world!\n')
      const first = registry.requests()
      expect(first).toContain('GET /@acme/greeting/-/1.2.0.tgz 200')

      const manifest = join(context, 'package.json')
      writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('1.0.0', '1.0.1'))
      const count = first.length
      const { executed } = await workspace.tsbuild.build(args)
      expect(executed).toContainEqual(expect.stringContaining('npm install'))
      expect(registry.requests().slice(count)).toEqual([])
      expect(await workspace.tsbuild.check(['run', '--network', 'none', 'app:1.0'])).toBe('Hello, world!\n')
      await expectNowhere(token, args)
    } finally {
      await registry.stop()
    }
  })

  it('says which secret is missing, with the line', async () => {
    const { code, stderr } = await workspace.tsbuild.run([
      ...hostNetwork,
      '--no-cache-filter',
      'dependencies',
      copyOf('npm-private-registry'),
    ])
    expect(code).toBe(1)
    expect(stderr).toContain('ERR_SECRET')
    expect(stderr).toContain('npmrc')
    expect(stderr).toMatch(/>>> +RUN --mount=type=cache/)
  })

  /** Neither a file of the store nor one of the image has it. Layers of the store are compressed, so the image is looked at too. */
  async function expectNowhere(text: string, args: readonly string[]): Promise<void> {
    const archive = workspace.path('image.tar')
    await workspace.tsbuild.check([...args, '-o', `type=oci,dest=${archive},compression=uncompressed`])
    const found = await run('grep', ['-rlF', '--', text, workspace.tsbuild.root, archive])
    expect([found.code, found.stdout]).toEqual([1, ''])
    const cached = await run('grep', ['-rlF', '--', greeting.name, workspace.tsbuild.root])
    expect(cached.stdout).toContain('/mounts/')
  }
})

describe('examples/private-repository', { timeout: 600_000 }, () => {
  it('clones over ssh with a key that the image has not', async (t) => {
    needs(t, 'root', 'program sshd', 'program git')
    const server = await startSshd(workspace.path('sshd'))
    try {
      const created = createRepository(workspace.path('repositories'), 'app')
      created.commit({ 'app.txt': 'private\n', 'docs/readme': 'x' })
      const context = copyOf('private-repository')
      writeFileSync(join(context, 'known_hosts'), server.knownHost)
      const out = workspace.path('app')
      const remote = `ssh://root@127.0.0.1:${server.port}${created.path}`
      const args = [...hostNetwork, '--build-arg', `REPOSITORY=${remote}`, '-o', out, context]
      const without = await workspace.tsbuild.run(args)
      expect([without.code, without.stderr]).toEqual([1, expect.stringContaining('ERR_SSH')])
      await workspace.tsbuild.check(['--ssh', `default=${server.key}`, ...args])
      expect(readdirSync(out).toSorted()).toEqual(['app.txt', 'docs'])
      expect(readFileSync(join(out, 'app.txt'), 'utf8')).toBe('private\n')
      const secret = readFileSync(server.key, 'utf8').split('\n')[2] ?? ''
      expect((await run('grep', ['-rlF', '--', secret, workspace.tsbuild.root])).stdout).toBe('')
    } finally {
      await server.stop()
    }
  })
})
