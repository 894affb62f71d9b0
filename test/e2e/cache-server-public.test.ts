import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CacheInstance, startCacheInstance, tokenOf } from '../support/cache-instance.ts'
import { startDockerd } from '../support/dockerd.ts'
import { check, run } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let server: CacheInstance
let host = ''
let token = ''

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('cache-server-public')
  server = await startCacheInstance(workspace.path('server'), { auth: 'tokens', publicRead: true })
  host = `127.0.0.1:${server.port}`
  token = await tokenOf(server.key, { repositories: { pull: ['**'], push: ['acme/**'] } })
  const context = workspace.context('app', { Dockerfile: 'FROM busybox:test\nRUN echo made > /made\n' })
  await workspace.tsbuild.check(['-q', '-t', 'app:v1', context])
  await workspace.tsbuild.check(['save', '-o', workspace.path('app.tar'), 'app:v1'])
  await check('skopeo', [...copy, '--dest-creds', `any:${token}`, archive(), image('acme/app:v1')])
})
afterAll(async () => {
  await server?.close()
  await workspace?.remove()
})

const copy = ['copy', '-q', '--src-tls-verify=false', '--dest-tls-verify=false']
const archive = () => `docker-archive:${workspace.path('app.tar')}`
const image = (name: string) => `docker://${host}/${name}`
const ask = (path: string, authorization?: string) =>
  fetch(`${server.url}${path}`, authorization === undefined ? {} : { headers: { authorization } })
const basic = (password: string) => `Basic ${Buffer.from(`any:${password}`).toString('base64')}`
const isThere = async (name: string) => (await ask(`/v2/${name}/manifests/v1`)).status === 200

describe('a cache-server that everybody may read from', () => {
  it('asks at /v2/ for a token, and has one for everybody that permits nothing more', async () => {
    const refused = await ask('/v2/')
    expect(refused.status).toBe(401)
    const realm = `http://${host}/v2/token`
    expect(refused.headers.get('www-authenticate')).toBe(`Bearer realm="${realm}",service="tsbuild-cache"`)
    const answer = await ask('/v2/token?service=tsbuild-cache&scope=repository:acme/app:pull,push')
    const given = (await answer.json()) as { token: string; access_token: string; expires_in: number }
    expect([given.access_token, given.expires_in]).toEqual([given.token, 300])
    const bearer = `Bearer ${given.token}`
    expect((await ask('/v2/', bearer)).status).toBe(200)
    expect((await ask('/v2/acme/app/manifests/v1', bearer)).status).toBe(200)
    const post = { method: 'POST', headers: { authorization: bearer } }
    expect((await fetch(`${server.url}/v2/acme/app/blobs/uploads/`, post)).status).toBe(403)
    expect((await fetch(`${server.url}/v1/records`, { ...post, body: '{"records":[]}' })).status).toBe(403)
    expect((await ask('/metrics', bearer)).status).toBe(403)
  })

  it('gives a token back to who shows it, and tells who shows one that counts no more', async () => {
    const given = (await (await ask('/v2/token', basic(token))).json()) as { token: string }
    expect(given.token).toBe(token)
    expect((await ask('/v2/token', basic('wrong'))).status).toBe(401)
    const old = await tokenOf(server.key, {}, Date.now() - 2 * 24 * 3_600_000)
    const told = await ask('/v2/', basic(old))
    expect([told.status, await told.text()]).toEqual([
      401,
      expect.stringMatching(/the token ended at \d{4}-/),
    ])
    const taken = await tokenOf(server.key, { id: 'taken' })
    await server.revoke('taken')
    expect(await (await ask('/v2/', basic(taken))).text()).toContain('the token was taken back')
  })

  it('is read by skopeo without a token, and written with one only', async () => {
    await check('skopeo', [...copy, image('acme/app:v1'), `oci:${workspace.path('layout')}:v1`])
    expect((await run('skopeo', [...copy, archive(), image('acme/skopeo:v1')])).code).not.toBe(0)
    expect(await isThere('acme/skopeo')).toBe(false)
    const other = ['--dest-creds', `any:${token}`, archive(), image('other/skopeo:v1')]
    expect((await run('skopeo', [...copy, ...other])).code).not.toBe(0)
    expect(await isThere('other/skopeo')).toBe(false)
  })

  it('is read and written by tsbuild', async () => {
    await workspace.tsbuild.check(['pull', `${host}/acme/app:v1`])
    await workspace.tsbuild.check(['tag', 'app:v1', `${host}/acme/tsbuild:v1`])
    const push = ['push', `${host}/acme/tsbuild:v1`]
    expect((await workspace.tsbuild.run(push)).code).not.toBe(0)
    const config = workspace.path('docker')
    mkdirSync(config)
    const auths = { [host]: { auth: Buffer.from(`any:${token}`).toString('base64') } }
    writeFileSync(join(config, 'config.json'), JSON.stringify({ auths }))
    await workspace.tsbuild.check(push, { env: { DOCKER_CONFIG: config } })
    expect(await isThere('acme/tsbuild')).toBe(true)
  })

  // podman takes no longer name than 50 characters for the one of them.
  const runroot = mkdtempSync('/var/tmp/tsb-public-')
  afterAll(() => rmSync(runroot, { recursive: true, force: true }))

  it.each(['podman', 'buildah'])('is read and written by %s', async (program) => {
    const roots = ['--root', workspace.path(program), '--runroot', join(runroot, program)]
    const authfile = ['--authfile', join(runroot, `${program}.json`)]
    const plain = '--tls-verify=false'
    const [from, to] = [`${host}/acme/app:v1`, `${host}/acme/${program}:v1`]
    await check(program, [...roots, 'pull', '-q', plain, from])
    const push = [...roots, 'push', '-q', plain, ...authfile, from, `docker://${to}`]
    expect((await run(program, push)).code).not.toBe(0)
    await check(program, [...roots, 'login', plain, ...authfile, '-u', 'any', '-p', token, host])
    await check(program, push)
    expect(await isThere(`acme/${program}`)).toBe(true)
    await check(program, [...roots, 'rmi', '-f', '-a'])
  })

  it('is read and written by docker', async () => {
    const daemon = await startDockerd(workspace.path('dockerd'))
    const docker = (...args: string[]) => daemon.docker(['--config', join(runroot, 'docker'), ...args])
    try {
      await docker('pull', '-q', `${host}/acme/app:v1`)
      await docker('tag', `${host}/acme/app:v1`, `${host}/acme/docker:v1`)
      await expect(docker('push', '-q', `${host}/acme/docker:v1`)).rejects.toThrow()
      await expect(docker('login', '-u', 'any', '-p', 'wrong', host)).rejects.toThrow()
      await docker('login', '-u', 'any', '-p', token, host)
      await docker('push', '-q', `${host}/acme/docker:v1`)
      expect(await isThere('acme/docker')).toBe(true)
    } finally {
      await daemon.stop()
    }
  })
})
