import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { noEngine } from './failures.ts'
import { engineCandidates, parseEngineAddress } from './find-engine.ts'
import { openEngine } from './open-engine.ts'
import { startFakeEngine } from './testing/index.ts'

let home = ''
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tsbuild-engine-'))
})
afterEach(() => rmSync(home, { recursive: true }))

function writeContext(name: string, endpoint: unknown, tls: Readonly<Record<string, string>> = {}) {
  const id = createHash('sha256').update(name).digest('hex')
  const contexts = join(home, '.docker', 'contexts')
  mkdirSync(join(contexts, 'meta', id), { recursive: true })
  const meta = { Name: name, Metadata: {}, Endpoints: { docker: endpoint } }
  writeFileSync(join(contexts, 'meta', id, 'meta.json'), JSON.stringify(meta))
  for (const [file, text] of Object.entries(tls)) {
    mkdirSync(join(contexts, 'tls', id, 'docker'), { recursive: true })
    writeFileSync(join(contexts, 'tls', id, 'docker', file), text)
  }
}

describe('parseEngineAddress()', () => {
  it.each([
    ['unix:///run/x.sock', { kind: 'unix', path: '/run/x.sock' }],
    ['tcp://127.0.0.1', { kind: 'tcp', host: '127.0.0.1', port: 2375 }],
    ['tcp://engine:1234', { kind: 'tcp', host: 'engine', port: 1234 }],
    ['tcp://[::1]:1234', { kind: 'tcp', host: '::1', port: 1234 }],
    ['https://engine', { kind: 'tcp', host: 'engine', port: 2376, tls: { verify: true } }],
    ['unix://x.sock', 'ERR_CONFIG'],
    ['tcp://', 'ERR_CONFIG'],
    ['tcp://a:99999', 'ERR_CONFIG'],
    ['tcp://a/b', 'ERR_CONFIG'],
    ['npipe:////./pipe/docker', 'ERR_CONFIG'],
    ['engine:2375', 'ERR_CONFIG'],
    ['ssh://me@engine', 'ERR_UNSUPPORTED'],
  ])('%s', (text, expected) => {
    const parse = () => parseEngineAddress(text, 'DOCKER_HOST', undefined)
    if (typeof expected === 'string') expect(parse).toThrow(expect.objectContaining({ code: expected }))
    else expect(parse()).toEqual(expected)
  })
})

describe('engineCandidates()', () => {
  const places = async (env: Readonly<Record<string, string>>, context?: string) =>
    (await engineCandidates({ env: { HOME: home, ...env }, context })).map(({ address, namedBy }) => [
      address.kind === 'unix' ? address.path : address.host,
      namedBy,
    ])

  it('are the usual sockets where nothing names one, Docker before podman', async () => {
    expect(await places({ XDG_RUNTIME_DIR: '/run/user/7' })).toEqual([
      ['/var/run/docker.sock', undefined],
      ['/run/user/7/docker.sock', undefined],
      ['/run/user/7/podman/podman.sock', undefined],
      ['/run/podman/podman.sock', undefined],
    ])
  })

  it('is what is named, the nearest first', async () => {
    writeContext('one', { Host: 'tcp://one' })
    writeContext('two', { Host: 'unix:///two' })
    writeFileSync(join(home, '.docker', 'config.json'), '{"currentContext":"two"}')
    const all = { DOCKER_HOST: 'unix:///host', DOCKER_CONTEXT: 'one', CONTAINER_HOST: 'unix:///podman' }
    expect(await places(all, 'two')).toEqual([['/two', 'docker context "two"']])
    expect(await places(all)).toEqual([['/host', 'DOCKER_HOST']])
    expect(await places({ ...all, DOCKER_HOST: '' })).toEqual([['one', 'docker context "one"']])
    expect(await places({ CONTAINER_HOST: 'unix:///podman' })).toEqual([['/two', 'docker context "two"']])
    expect(await places({ ...all, DOCKER_HOST: '', DOCKER_CONTEXT: 'default' })).toEqual([
      ['/podman', 'CONTAINER_HOST'],
    ])
    expect(await places(all, 'default')).toEqual([['/var/run/docker.sock', 'docker context "default"']])
  })

  it('have the certificates of a context, and of DOCKER_CERT_PATH', async () => {
    writeContext(
      'tls',
      { Host: 'tcp://h:1', SkipTLSVerify: false },
      { 'ca.pem': 'A', 'cert.pem': 'C', 'key.pem': 'K' },
    )
    const [candidate] = await engineCandidates({ env: { HOME: home }, context: 'tls' })
    expect(candidate?.address).toMatchObject({ tls: { ca: 'A', cert: 'C', key: 'K', verify: true } })
    mkdirSync(join(home, 'certs'))
    writeFileSync(join(home, 'certs', 'ca.pem'), 'B')
    const env = { DOCKER_HOST: 'tcp://h', DOCKER_CERT_PATH: join(home, 'certs'), DOCKER_TLS_VERIFY: '1' }
    const [other] = await engineCandidates({ env })
    expect(other?.address).toMatchObject({ port: 2376, tls: { ca: 'B', verify: true } })
    const [unproven] = await engineCandidates({ env: { ...env, DOCKER_TLS_VERIFY: '' } })
    expect(unproven?.address).toMatchObject({ tls: { verify: false } })
  })

  it('throws for a context that is not there, and names a near one', async () => {
    writeContext('production', { Host: 'unix:///x' })
    await expect(places({}, 'producton')).rejects.toMatchObject({
      code: 'ERR_ENGINE_CONTEXT',
      hints: ['Did you mean `production`?'],
    })
    writeContext('kubernetes', 'nothing')
    await expect(places({}, 'kubernetes')).rejects.toMatchObject({ code: 'ERR_ENGINE_CONTEXT' })
  })
})

describe('openEngine()', () => {
  it('says what it tried, and how to do without', async () => {
    const opening = openEngine({ env: { DOCKER_HOST: `unix://${home}/none.sock` } })
    await expect(opening).rejects.toMatchObject({
      code: 'ERR_ENGINE_UNREACHABLE',
      message: `Cannot reach the engine of DOCKER_HOST: unix://${home}/none.sock: there is no such socket`,
      hints: [expect.stringContaining('Start that engine'), expect.stringContaining('type=docker,dest=')],
    })
  })

  it('takes the first that answers', async () => {
    mkdirSync(join(home, 'podman'))
    const engine = await startFakeEngine(join(home, 'podman', 'podman.sock'), {
      kind: 'podman',
      store: 'layers',
    })
    writeFileSync(join(home, 'docker.sock'), '')
    try {
      const found = await openEngine({ env: { XDG_RUNTIME_DIR: home, DOCKER_HOST: '', CONTAINER_HOST: '' } })
      // Where the machine runs an engine of its own at the first of the usual places, that one is it.
      if (found.identity.kind === 'podman')
        expect(found.title).toBe(`podman 4.3.1 at unix://${home}/podman/podman.sock`)
      else expect(found.title).toContain('unix:///var/run/docker.sock')
    } finally {
      await engine.stop()
    }
  })

  it('refuses what is no engine', async () => {
    const server = createServer((_, response) => void response.end('hello'))
    await new Promise<void>((resolve) => server.listen(join(home, 's'), resolve))
    try {
      await expect(openEngine({ env: { DOCKER_HOST: `unix://${home}/s` } })).rejects.toMatchObject({
        code: 'ERR_ENGINE_RESPONSE',
      })
    } finally {
      server.close()
    }
  })
})

describe('noEngine()', () => {
  it('says that a socket may not be used, and what does without', () => {
    const candidates = ['/var/run/docker.sock', '/run/podman/podman.sock'].map(
      (path) => ({ address: { kind: 'unix', path }, namedBy: undefined }) as const,
    )
    const [denied, missing] = ['EACCES', 'ENOENT'].map((code) => Object.assign(new Error(code), { code }))
    const tries = candidates.map((candidate, index) => ({ candidate, error: index === 0 ? denied : missing }))
    const error = noEngine(tries)
    expect(error.message).toBe(
      'Cannot reach Docker or podman: unix:///var/run/docker.sock: permission denied; unix:///run/podman/podman.sock: there is no such socket',
    )
    expect(error.hints[0]).toContain('"/var/run/docker.sock"')
    expect(error.details).toEqual({
      tried: ['unix:///var/run/docker.sock', 'unix:///run/podman/podman.sock'],
    })
  })
})
