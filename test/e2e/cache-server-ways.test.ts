import { createHash, randomBytes } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  type CacheServerProcess,
  cacheServer,
  makeToken,
  startCacheServer,
} from '../support/cache-server-process.ts'
import { needs } from '../support/capabilities.ts'
import { freePort } from '../support/free-port.ts'
import { makeAuthority } from '../support/https-site.ts'
import { startNginxWith } from '../support/nginx.ts'
import { pushRaw, startRegistry } from '../support/registry-process.ts'
import { repository } from '../support/repository.ts'
import { makeTar } from '../support/tar.ts'
import { check, run } from '../support/tsbuild.ts'
import { openDebianWorkspace, storesFolder } from '../support/workspace.ts'

let folder = ''
const ends: (() => Promise<unknown>)[] = []
beforeAll(() => {
  folder = mkdtempSync(join(storesFolder, 'tsbuild-e2e-cache-server-ways-'))
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function start(...args: Parameters<typeof startCacheServer>): Promise<CacheServerProcess> {
  const server = await startCacheServer(...args)
  ends.push(() => server.stop('SIGKILL'))
  return server
}
const packaging = (name: string) => join(repository, 'apps/cache-server/packaging', name)
const layers = [{ tar: makeTar([{ name: 'a', data: 'A' }]) }]

describe('cache-server behind nginx', () => {
  it('with the configuration of the guide takes a layer of 32 MB in parts, and hides the metrics', async (context) => {
    needs(context, 'program nginx', 'program openssl')
    const dir = join(folder, 'proxied')
    const server = await start(dir, ['--auth', 'tokens', '--public-url', 'https://127.0.0.1'])
    const token = await makeToken(dir, '--repositories', '**', '--ops', 'pull,push,admin')
    const authority = await makeAuthority(join(folder, 'authority'))
    const listen = `127.0.0.1:${await freePort()}`
    const values = {
      UPSTREAM: server.host,
      LISTEN: listen,
      SERVER_NAME: 'localhost',
      CERTIFICATE_KEY: join(authority.folder, 'server.key'),
      CERTIFICATE: join(authority.folder, 'server.pem'),
    }
    const text = Object.entries(values).reduce(
      (config, [name, value]) => config.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), value),
      readFileSync(packaging('nginx.conf'), 'utf8'),
    )
    const front = await startNginxWith(join(folder, 'nginx'), listen, text)
    ends.push(() => front.stop())
    const ask = (method: string, path: string, body?: Buffer) =>
      new Promise<{ status: number | undefined; location: string }>((resolve, reject) => {
        const asked = request(`https://${listen}${path}`, {
          method,
          ca: readFileSync(authority.file),
          headers: { authorization: `Bearer ${token}`, 'content-length': body?.length ?? 0 },
        })
        asked.on('error', reject).on('response', (response) => {
          const { location = '' } = response.headers
          response.resume().on('end', () => resolve({ status: response.statusCode, location }))
        })
        asked.end(body)
      })
    const blob = randomBytes(32 * 1024 * 1024)
    const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`
    const begun = await ask('POST', '/v2/team/app/blobs/uploads/')
    expect(begun).toMatchObject({ status: 202, location: expect.stringMatching(/^\/v2\//) })
    const half = blob.length / 2
    const part = await ask('PATCH', begun.location, blob.subarray(0, half))
    expect(part.status).toBe(202)
    const joint = part.location.includes('?') ? '&' : '?'
    const end = await ask('PUT', `${part.location}${joint}digest=${digest}`, blob.subarray(half))
    expect(end.status).toBe(201)
    expect((await ask('HEAD', `/v2/team/app/blobs/${digest}`)).status).toBe(200)
    expect((await ask('GET', '/metrics')).status).toBe(403)
    // It went through as it came: nothing of it lay on nginx's disk.
    expect(readdirSync(join(folder, 'nginx/client_body'))).toEqual([])
  })
})

describe('cache-server over a registry', () => {
  it('keeps everything in a repository of docker-registry, also for another process with another directory', async (context) => {
    needs(context, 'program docker-registry', 'program skopeo')
    const registry = await startRegistry(join(folder, 'registry'))
    ends.push(() => registry.stop())
    const engine = ['--engine', 'oci', '--oci-repository', `${registry.host}/kept/cache`, '--oci-plain-http']
    const first = await start(join(folder, 'one'), engine)
    await pushRaw(first.host, 'team/app', '1', layers)
    await first.stop()
    const second = await start(join(folder, 'two'), engine)
    const text = await check('skopeo', [
      'inspect',
      '--tls-verify=false',
      `docker://${second.host}/team/app:1`,
    ])
    expect(JSON.parse(text)).toMatchObject({ RepoTags: ['1'] })
    expect(readdirSync(join(folder, 'one')).toSorted()).toEqual(['keys', 'local'])
  })
})

describe('commands on a directory that is served', () => {
  it('count, collect and read again; a damaged object is named and taken away', async () => {
    const dir = join(folder, 'commands')
    // Without its own scrubbing, which might be the first to find what is damaged here.
    const server = await start(dir, ['--scrub-per-day', '0'])
    await pushRaw(server.host, 'team/app', '1', layers)
    const on = (name: string, ...args: readonly string[]) => run(cacheServer, [name, '--dir', dir, ...args])
    const stats = JSON.parse((await on('stats', '--format', 'json')).stdout)
    expect(stats.kinds['oci1/content']).toMatchObject({ objects: 3 })
    expect(await on('gc')).toMatchObject({ code: 0, stdout: expect.stringMatching(/ are kept\n$/) })
    expect(await on('scrub')).toMatchObject({ code: 0, stdout: expect.stringContaining(' 0 were damaged') })
    const content = join(dir, 'objects/v1/objects/oci1=/content=/sha256=')
    const [path = ''] = readdirSync(content, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /[0-9a-f]{64}$/.test(name),
    )
    const bytes = readFileSync(join(content, path))
    rmSync(join(content, path))
    bytes[0] = (bytes[0] ?? 0) ^ 1
    writeFileSync(join(content, path), bytes)
    const damaged = await on('scrub')
    expect(damaged).toMatchObject({ code: 1, stdout: expect.stringMatching(/^damaged: oci1\/content\//) })
    expect(damaged.stdout).toContain(' 1 were damaged')
    expect(await run(cacheServer, ['health', '--url', server.url])).toMatchObject({
      code: 0,
      stdout: 'ready\n',
    })
    await server.stop()
    expect((await run(cacheServer, ['health', '--url', server.url])).code).toBe(3)
  })

  it('a plain copy of the directory is a backup', async (context) => {
    needs(context, 'program skopeo')
    const dir = join(folder, 'original')
    const server = await start(dir)
    await pushRaw(server.host, 'team/app', '1', layers)
    await check('cp', ['-a', dir, join(folder, 'copy')])
    const token = await makeToken(dir, '--repositories', '**')
    const copy = await start(join(folder, 'copy'), ['--auth', 'tokens'])
    const inspect = ['inspect', '--tls-verify=false', '--creds', `x:${token}`]
    const text = await check('skopeo', [...inspect, `docker://${copy.host}/team/app:1`])
    expect(JSON.parse(text)).toMatchObject({ RepoTags: ['1'] })
  })
})

describe('what is packaged', () => {
  it('systemd takes the unit as it is, and finds little that it could still give up', async (context) => {
    needs(context, 'program systemd-analyze')
    const unit = join(folder, 'tsbuild-cache-server.service')
    const text = readFileSync(packaging('tsbuild-cache-server.service'), 'utf8')
    writeFileSync(unit, text.replace(/^ExecStart=.*$/m, `ExecStart=${cacheServer}`))
    expect(await run('systemd-analyze', ['verify', unit])).toMatchObject({ code: 0, stderr: '' })
    // In tenths: 0 is a unit that may do nothing.
    expect((await run('systemd-analyze', ['security', '--offline=yes', '--threshold=20', unit])).code).toBe(0)
  })

  it('tsbuild makes the image from the Dockerfile, and it serves', async () => {
    const workspace = await openDebianWorkspace('cache-server-image')
    ends.push(() => workspace.remove())
    const { tsbuild, path } = workspace
    // The Node.js that runs this test, on the base image that is there: what `node:20-bookworm-slim` is.
    mkdirSync(path('node'))
    copyFileSync(process.execPath, path('node', 'node'))
    writeFileSync(
      path('node', 'Dockerfile'),
      'FROM debian:bookworm\nCOPY --chmod=755 node /usr/local/bin/node\n',
    )
    await tsbuild.check(['-t', 'local-node', path('node')])
    const file = packaging('Dockerfile')
    const base = 'node:20-bookworm-slim=docker-image://local-node'
    await tsbuild.check(['-t', 'cache-server', '-f', file, '--build-context', base, repository])
    const inspected = await tsbuild.check(['inspect', '--format', 'json', 'cache-server'])
    expect(inspected).toContain('10001:10001')
    const refused = await tsbuild.run(['run', '--network', 'none', 'cache-server'])
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('--auth tokens') })
    const token = await tsbuild.run([
      'run',
      '--network',
      'none',
      'cache-server',
      'token',
      'create',
      '--scope',
      'a:ref/main',
    ])
    expect(token).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+/) })
    const program = '/opt/cache-server/bin/cache-server.js'
    const script = [
      `${program} --insecure &`,
      `for attempt in 1 2 3 4 5 6 7 8 9 10; do ${program} health && exit; sleep 1; done; exit 1`,
    ].join('\n')
    const served = await tsbuild.run([
      'run',
      '--network',
      'none',
      '--entrypoint',
      'sh',
      'cache-server',
      '-c',
      script,
    ])
    expect(served).toMatchObject({ code: 0, stdout: expect.stringContaining('ready') })
  })
})
