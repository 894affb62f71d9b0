import { readFileSync, statSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { createServer } from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeAuthority } from '../support/https-site.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, openWorkspace, type Workspace, writeFiles } from '../support/workspace.ts'

/** `open sesame` as bcrypt of cost 4, which is all that docker-registry reads. */
const htpasswd = 'ali:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n'

let workspace: Workspace
let registry: RegistryProcess
let context: string

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('registry-access')
  registry = await startRegistry(workspace.path('registry'))
  context = workspace.context('app', { Dockerfile: 'FROM busybox:test\nCOPY file /file\n', file: 'pushed\n' })
  for (const name of ['mirrored/team/base:1.0', 'mirrored/team/base:2.0', 'other:1.0']) {
    await workspace.tsbuild.check(['-q', '--push', '-t', `${registry.host}/${name}`, context])
  }
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

describe('tsbuild login and logout', () => {
  let guarded: RegistryProcess
  beforeAll(async () => {
    guarded = await startRegistry(workspace.path('guarded'), { type: 'basic', htpasswd })
  })
  afterAll(() => guarded?.stop())

  it('make a push possible and impossible, and skopeo understands the file', async () => {
    const env = { DOCKER_CONFIG: workspace.path('login') }
    const file = workspace.path('login/config.json')
    const image = `${guarded.host}/secret/app:1.0`
    const push = () => workspace.tsbuild.run(['-q', '--push', '-t', image, context], { env })
    const login = (input: string) =>
      workspace.tsbuild.run(['login', '-u', 'ali', '--password-stdin', guarded.host], { env, input })
    expect((await push()).stderr).toContain('[ERR_REGISTRY_AUTH]')
    const refused = await login('wrong')
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('[ERR_REGISTRY_AUTH]')])
    expect(refused.stderr).toContain('tsbuild login')
    const accepted = await login('open sesame\n')
    expect([accepted.code, accepted.stdout]).toEqual([0, 'Login Succeeded\n'])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect((await push()).code).toBe(0)
    const shown = await check('skopeo', ['login', '--get-login', '--authfile', file, guarded.host])
    expect(shown.trim()).toBe('ali')
    await workspace.tsbuild.check(['logout', guarded.host], { env })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ auths: {} })
    expect((await push()).stderr).toContain('[ERR_REGISTRY_AUTH]')
  })

  it("podman's file is read, with entries for a path", async () => {
    const runtime = workspace.path('runtime')
    const auth = Buffer.from('ali:open sesame').toString('base64')
    writeFiles(runtime, {
      'containers/auth.json': JSON.stringify({ auths: { [`${guarded.host}/mine`]: { auth } } }),
    })
    const push = (name: string) =>
      workspace.tsbuild.run(['-q', '--push', '-t', `${guarded.host}/${name}:1`, context], {
        env: { XDG_RUNTIME_DIR: runtime },
      })
    expect((await push('mine/app')).code).toBe(0)
    expect((await push('others/app')).stderr).toContain('[ERR_REGISTRY_AUTH]')
  })
})

describe('tsbuild search', () => {
  it('finds repositories and tags of docker-registry', async () => {
    const { host } = registry
    const found = await workspace.tsbuild.check(['search', '--format', 'json', `${host}/base`])
    expect(JSON.parse(found)).toEqual([{ registry: host, name: 'mirrored/team/base' }])
    const tags = await workspace.tsbuild.check(['search', '--list-tags', `${host}/mirrored/team/base`])
    expect(tags.trimEnd().split('\n').slice(1).toSorted()).toEqual([
      `${host}/mirrored/team/base   1.0`,
      `${host}/mirrored/team/base   2.0`,
    ])
    const missing = await workspace.tsbuild.run(['search', '--list-tags', `${host}/missing`])
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('[ERR_IMAGE_NOT_FOUND]')])
  })
})

describe('registries.conf', () => {
  const configure = (name: string, text: string) => {
    const folder = writeFiles(workspace.path(name), { 'registries.conf': text })
    return { CONTAINERS_REGISTRIES_CONF: `${folder}/registries.conf` }
  }

  it('leads FROM to a mirror, as it leads skopeo', async () => {
    const env = configure(
      'mirrors',
      `[[registry]]
prefix = "upstream.example/team"
location = "upstream.example/team"
[[registry.mirror]]
location = "127.0.0.1:1/nobody"
insecure = true
[[registry.mirror]]
location = "${registry.host}/mirrored/team"
insecure = true
`,
    )
    const image = 'upstream.example/team/base:1.0'
    const conf = env.CONTAINERS_REGISTRIES_CONF
    await check('skopeo', ['--registries-conf', conf, 'inspect', '--raw', `docker://${image}`])
    const fresh = await openWorkspace('registry-access-mirror')
    try {
      const project = fresh.context('project', { Dockerfile: `FROM ${image}\nRUN test -f /file\n` })
      registry.forget()
      await fresh.tsbuild.check(['-q', project], { env })
      expect(registry.requests().length).toBeGreaterThan(2)
      expect(registry.requests().every((line) => line.includes('/v2/mirrored/team/base/'))).toBe(true)
      // A push goes where the name says, and there is nobody.
      const pushed = await fresh.tsbuild.run(['-q', '--push', '-t', image, project], { env })
      expect(pushed.stderr).toContain('upstream.example')
      expect(pushed.code).toBe(3)
    } finally {
      await fresh.remove()
    }
  })

  it('blocks what it blocks, and names the file', async () => {
    const env = configure('blocked', `[[registry]]\nprefix = "${registry.host}/other"\nblocked = true\n`)
    const project = workspace.context('blocked-project', { Dockerfile: `FROM ${registry.host}/other:1.0\n` })
    registry.forget()
    const { code, stderr } = await workspace.tsbuild.run(['--pull', project], { env })
    expect([code, stderr]).toEqual([1, expect.stringContaining('[ERR_CONFIG]')])
    expect(stderr).toContain(env.CONTAINERS_REGISTRIES_CONF)
    expect(registry.requests()).toEqual([])
  })

  it('is not read by a build that asks no registry', async () => {
    const env = configure('broken', 'this is = no [ TOML')
    await workspace.tsbuild.check(['-q', context], { env })
    const project = workspace.context('broken-project', { Dockerfile: `FROM ${registry.host}/other:1.0\n` })
    const { code, stderr } = await workspace.tsbuild.run(['--pull', project], { env })
    expect([code, stderr]).toEqual([1, expect.stringContaining('line 1')])
    expect(stderr).toContain(env.CONTAINERS_REGISTRIES_CONF)
  })
})

describe('certs.d', () => {
  it('gives a registry the client certificate that it wants', async () => {
    const authority = await makeAuthority(workspace.path('authority'))
    const read = (name: string) => readFileSync(`${authority.folder}/${name}`, 'utf8')
    const [, port] = registry.host.split(':')
    const tls = { key: read('server.key'), cert: read('server.pem'), ca: read('ca.pem') }
    const strict = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (asked, answer) => {
      const { method, url, headers } = asked
      asked.pipe(
        httpRequest({ host: '127.0.0.1', port, method, path: url, headers }, (response) => {
          answer.writeHead(response.statusCode ?? 500, response.headers)
          response.pipe(answer)
        }),
      )
    })
    await new Promise<void>((resolve) => strict.listen(0, '127.0.0.1', resolve))
    const address = strict.address()
    const host = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    try {
      const project = workspace.context('mtls', { Dockerfile: `FROM ${host}/other:1.0\nRUN test -f /file\n` })
      const without = await workspace.tsbuild.run(['--pull', project])
      expect(without.stderr).toContain('[ERR_REGISTRY_')
      const XDG_CONFIG_HOME = writeFiles(workspace.path('config'), {
        [`containers/certs.d/${host}/ca.crt`]: read('ca.pem'),
        [`containers/certs.d/${host}/me.cert`]: read('server.pem'),
        [`containers/certs.d/${host}/me.key`]: read('server.key'),
      })
      await workspace.tsbuild.check(['-q', '--pull', project], { env: { XDG_CONFIG_HOME } })
    } finally {
      strict.closeAllConnections()
      strict.close()
    }
  })
})

it('REG-09: a helper of another name than letters, digits and "-" is never started', async () => {
  const evil = workspace.path('evil')
  writeFiles(evil, { 'config.json': JSON.stringify({ credsStore: '../../../bin/sh' }) })
  const { code, stderr } = await workspace.tsbuild.run(['logout', 'a.example'], {
    env: { DOCKER_CONFIG: evil },
  })
  expect([code, stderr]).toEqual([1, expect.stringContaining('Cannot use the credential helper')])
})
