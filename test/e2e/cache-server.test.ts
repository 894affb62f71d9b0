import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type ClientRequest, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Disk, makeDisk } from '../faults/disk.ts'
import {
  type CacheServerProcess,
  cacheServer,
  makeToken,
  startCacheServer,
} from '../support/cache-server-process.ts'
import { needs } from '../support/capabilities.ts'
import { makeAuthority } from '../support/https-site.ts'
import { pushRaw } from '../support/registry-process.ts'
import { makeTar } from '../support/tar.ts'
import { check, run } from '../support/tsbuild.ts'
import { storesFolder } from '../support/workspace.ts'

let folder = ''
const running = new Set<CacheServerProcess>()
beforeAll(() => {
  folder = mkdtempSync(join(storesFolder, 'tsbuild-e2e-cache-server-'))
})
afterEach(async () => {
  for (const each of running) await each.stop('SIGKILL')
  running.clear()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const dirOf = (name: string) => join(folder, name)
async function start(...args: Parameters<typeof startCacheServer>): Promise<CacheServerProcess> {
  const server = await startCacheServer(...args)
  running.add(server)
  return server
}
const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
/** Sends a request without a body. */
function statusOf(asked: ClientRequest): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    asked.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject)
    asked.end()
  })
}
const status = async (url: string, init?: RequestInit) => (await fetch(url, init)).status

/** Begins an upload; gives where its next part goes. */
async function beginUpload(url: string, repository: string): Promise<URL> {
  const response = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' })
  expect(response.status).toBe(202)
  return new URL(response.headers.get('location') ?? '', url)
}

/** Sends a blob whole. */
async function putBlob(url: string, repository: string, bytes: Uint8Array): Promise<Response> {
  const place = await beginUpload(url, repository)
  place.searchParams.set('digest', digestOf(bytes))
  return await fetch(place, { method: 'PUT', body: Buffer.from(bytes) })
}

async function getBlob(url: string, repository: string, bytes: Uint8Array): Promise<boolean> {
  const response = await fetch(`${url}/v2/${repository}/blobs/${digestOf(bytes)}`)
  return response.status === 200 && Buffer.from(await response.arrayBuffer()).equals(Buffer.from(bytes))
}

describe('cache-server', () => {
  it('needs nothing but a directory, and keeps what skopeo sent over a restart', async (context) => {
    needs(context, 'program skopeo')
    const dir = dirOf('plain')
    const first = await start(dir)
    expect(first.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    await pushRaw(first.host, 'team/app', '1', [{ tar: makeTar([{ name: 'a', data: 'A' }]) }])
    const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false']
    await check('skopeo', [
      'copy',
      ...insecure,
      `docker://${first.host}/team/app:1`,
      `docker://${first.host}/team/copy:2`,
    ])
    expect(await first.stop()).toBe(0)
    const second = await start(dir)
    const text = await check('skopeo', [
      'inspect',
      '--tls-verify=false',
      `docker://${second.host}/team/copy:2`,
    ])
    expect(JSON.parse(text)).toMatchObject({ Name: `${second.host}/team/copy`, RepoTags: ['2'] })
    const listed = await fetch(`${second.url}/v2/_catalog`)
    expect(await listed.json()).toEqual({ repositories: ['team/app', 'team/copy'] })
    expect(await status(`${second.url}/readyz`)).toBe(200)
    expect(second.log().some(({ message, path }) => message === 'request' && path === '/v2/_catalog')).toBe(
      false,
    )
    await second.stop()
    expect(second.log()).toContainEqual(
      expect.objectContaining({ message: 'request', path: '/v2/_catalog', status: 200 }),
    )
  })

  it('refuses an address that others reach, one that is taken, and settings that are none', async () => {
    const open = await run(cacheServer, ['--dir', dirOf('never'), '--listen', '0.0.0.0:0'])
    expect(open).toMatchObject({ code: 1, stderr: expect.stringContaining('--auth tokens') })
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : 0
    const second = await run(cacheServer, ['--dir', dirOf('never'), '--listen', `127.0.0.1:${port}`])
    taken.close()
    expect(second).toMatchObject({ code: 3, stderr: expect.stringContaining('ERR_LISTEN') })
    const file = join(folder, 'wrong.toml')
    writeFileSync(file, '[limits]\nblobsize = "1g"\n')
    const wrong = await run(cacheServer, ['--dir', dirOf('never'), '--config', file])
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Did you mean `limits.blobSize`?'),
    })
  })

  it('answers only for hosts of this machine where it asks nobody who they are', async () => {
    const { url } = await start(dirOf('hosts'))
    const ask = (host: string) => statusOf(request(`${url}/v2/`, { headers: { host } }))
    expect(await ask('localhost:7070')).toBe(200)
    expect(await ask('rebound.example')).toBe(421)
  })

  it('listens on a unix socket, also where one was left behind', async () => {
    const socket = join(folder, 'cache.sock')
    const first = await start(dirOf('socket'), ['--listen', `unix:${socket}`])
    const ask = () =>
      statusOf(request({ socketPath: socket, path: '/healthz', headers: { host: 'localhost' } }))
    expect(await ask()).toBe(200)
    await first.stop('SIGKILL')
    await start(dirOf('socket'), ['--listen', `unix:${socket}`])
    expect(await ask()).toBe(200)
  })
})

describe('tokens', () => {
  it('say who may do what, until they are taken back', async () => {
    const dir = dirOf('tokens')
    const server = await start(dir, ['--auth', 'tokens'])
    const { url } = server
    const anonymous = await fetch(`${url}/v2/`)
    expect(anonymous.status).toBe(401)
    expect(anonymous.headers.get('www-authenticate')).toMatch(/^Basic /)
    const main = await makeToken(dir, '--scope', 'acme/app:ref/main', '--ttl', '1h')
    const pull = await makeToken(dir, '--scope', 'acme/app:pr/7', '--ttl', '1h')
    const capabilities = await fetch(`${url}/v1/capabilities`, { headers: bearer(pull) })
    expect(await capabilities.json()).toMatchObject({
      read: ['acme/app:pr/7', 'acme/app:ref/main'],
      write: 'acme/app:pr/7',
    })
    const upload = (scope: string, token: string) =>
      status(`${url}/v2/cache/acme/app__${scope}/blobs/uploads/`, { method: 'POST', headers: bearer(token) })
    expect(await upload('ref/main', main)).toBe(202)
    expect(await upload('pr/7', pull)).toBe(202)
    expect(await upload('ref/main', pull)).toBe(403)
    expect(await upload('pr/7', main)).toBe(403)
    const basic = Buffer.from(`anybody:${main}`).toString('base64')
    expect(await status(`${url}/v2/`, { headers: { authorization: `Basic ${basic}` } })).toBe(200)

    await check(cacheServer, ['token', 'revoke', '--dir', dir], { input: main })
    server.child.kill('SIGHUP')
    await server.saw('Keys and certificates were read again')
    expect(await status(`${url}/v2/`, { headers: bearer(main) })).toBe(401)
    expect(await status(`${url}/v2/`, { headers: bearer(pull) })).toBe(200)
    const log = JSON.stringify(server.log())
    expect(log).not.toContain(main)
    expect(log).not.toContain(main.split('.')[2])
  })

  it('of a key that was rotated count until it is removed', async () => {
    const dir = dirOf('rotated')
    const server = await start(dir, ['--auth', 'tokens'])
    const before = await makeToken(dir, '--scope', 'a:ref/main')
    const old = /^(\S+) .* signs$/m.exec(await check(cacheServer, ['keys', 'list', '--dir', dir]))?.[1] ?? ''
    await check(cacheServer, ['keys', 'rotate', '--dir', dir])
    const after = await makeToken(dir, '--scope', 'a:ref/main')
    server.child.kill('SIGHUP')
    await server.saw('The keys have changed')
    const ask = (token: string) => status(`${server.url}/v2/`, { headers: bearer(token) })
    expect([await ask(before), await ask(after)]).toEqual([200, 200])
    await check(cacheServer, ['keys', 'remove', '--dir', dir, old])
    server.child.kill('SIGHUP')
    await expect.poll(() => ask(before), { timeout: 30_000 }).toBe(401)
    expect(await ask(after)).toBe(200)
  })
})

describe('TLS', () => {
  it('shows a new certificate after SIGHUP, and the old one where the new one is broken', async (context) => {
    needs(context, 'program openssl')
    const [first, second] = [
      await makeAuthority(join(folder, 'one')),
      await makeAuthority(join(folder, 'two')),
    ]
    const [certificate, key] = [join(folder, 'server.pem'), join(folder, 'server.key')]
    const use = (from: string) => {
      copyFileSync(join(from, 'server.pem'), certificate)
      copyFileSync(join(from, 'server.key'), key)
    }
    use(first.folder)
    const server = await start(dirOf('tls'), ['--tls-certificate', certificate, '--tls-key', key])
    expect(server.url).toMatch(/^https:/)
    // Undefined: it could not be trusted.
    const ask = (ca: string) =>
      statusOf(secureRequest(`${server.url}/healthz`, { ca: readFileSync(ca), agent: false })).catch(
        () => undefined,
      )
    expect(await ask(first.file)).toBe(200)
    use(second.folder)
    server.child.kill('SIGHUP')
    await server.saw('Keys and certificates were read again')
    expect([await ask(first.file), await ask(second.file)]).toEqual([undefined, 200])
    writeFileSync(key, 'nothing')
    server.child.kill('SIGHUP')
    expect(await server.saw('Keys and certificates stay as they were')).toMatchObject({ code: 'ERR_CONFIG' })
    expect(await ask(second.file)).toBe(200)
  })

  it('is version 1.2 at least', async (context) => {
    needs(context, 'program openssl')
    const { folder: from } = await makeAuthority(join(folder, 'three'))
    const files = ['--tls-certificate', join(from, 'server.pem'), '--tls-key', join(from, 'server.key')]
    const { host } = await start(dirOf('tls-version'), files)
    const [address = '', port] = host.split(':')
    const handshake = (maxVersion: 'TLSv1.1' | 'TLSv1.2') =>
      new Promise((resolve) => {
        const options = {
          rejectUnauthorized: false,
          minVersion: 'TLSv1',
          maxVersion,
          ciphers: 'ALL@SECLEVEL=0',
        } as const
        const socket = connect(Number(port), address, options, () => resolve(socket.getProtocol()))
        socket.on('error', () => resolve('refused')).on('secureConnect', () => socket.destroy())
      })
    expect(await handshake('TLSv1.1')).toBe('refused')
    expect(await handshake('TLSv1.2')).toBe('TLSv1.2')
  })
})

describe('the end of a server', () => {
  /** A request that the server has begun with, and whose body has not ended. */
  async function halfARequest(place: URL, bytes: Buffer) {
    const headers = { 'content-length': bytes.length, expect: '100-continue' }
    const under = request(place, { method: 'PATCH', headers })
    const answer = new Promise<number | undefined>((resolve, reject) => {
      under.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject)
    })
    // Some tests cut it off.
    answer.catch(() => {})
    await once(under, 'continue')
    under.write(bytes.subarray(0, bytes.length / 2))
    return { answer, finish: () => under.end(bytes.subarray(bytes.length / 2)) }
  }

  it('waits for requests under way, and takes no others', async () => {
    const server = await start(dirOf('drain'))
    const { answer, finish } = await halfARequest(await beginUpload(server.url, 'a/b'), randomBytes(1024))
    server.child.kill('SIGTERM')
    await server.saw('Ending within 30s')
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow()
    finish()
    expect(await answer).toBe(202)
    expect(await server.ended).toBe(0)
  })

  it('comes after shutdownTimeout whatever is under way, and at once with the second signal', async () => {
    const bounded = await start(dirOf('bounded'), ['--shutdown-timeout', '300ms'])
    await halfARequest(await beginUpload(bounded.url, 'a/b'), randomBytes(1024))
    expect(await bounded.stop()).toBe(0)
    expect(bounded.log()).toContainEqual(
      expect.objectContaining({ message: 'Requests are cut off', requests: 1 }),
    )
    const twice = await start(dirOf('twice'))
    await halfARequest(await beginUpload(twice.url, 'a/b'), randomBytes(1024))
    twice.child.kill('SIGTERM')
    await twice.saw('Ending within 30s')
    expect(await twice.stop()).toBe(143)
  })
})

describe('processes and crashes', () => {
  it('two processes on one directory see the same, also an upload under way', async () => {
    const dir = dirOf('both')
    const [one, two] = [await start(dir), await start(dir)]
    const blob = randomBytes(100_000)
    expect((await putBlob(one.url, 'a/b', blob)).status).toBe(201)
    expect(await getBlob(two.url, 'a/b', blob)).toBe(true)
    const parts = randomBytes(2048)
    const place = await beginUpload(one.url, 'a/b')
    const sent = await fetch(place, { method: 'PATCH', body: parts.subarray(0, 1024) })
    const next = new URL(sent.headers.get('location') ?? '', two.url)
    next.searchParams.set('digest', digestOf(parts))
    expect(await status(next.href, { method: 'PUT', body: parts.subarray(1024) })).toBe(201)
    expect(await getBlob(one.url, 'a/b', parts)).toBe(true)
  })

  it('kill -9 in the middle of an upload loses nothing that was acknowledged, and the upload goes on', async () => {
    const dir = dirOf('killed')
    const first = await start(dir)
    const blob = randomBytes(300_000)
    expect((await putBlob(first.url, 'a/b', randomBytes(10))).status).toBe(201)
    const place = await beginUpload(first.url, 'a/b')
    const acknowledged = await fetch(place, { method: 'PATCH', body: blob.subarray(0, 100_000) })
    expect(acknowledged.headers.get('range')).toBe('0-99999')
    const next = new URL(acknowledged.headers.get('location') ?? '', first.url)
    const under = request(next, { method: 'PATCH', headers: { 'content-length': 200_000 } })
    under.on('error', () => {})
    under.write(blob.subarray(100_000, 150_000))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await first.stop('SIGKILL')

    const second = await start(dir)
    const again = new URL(`${next.pathname}${next.search}`, second.url)
    const where = await fetch(again)
    expect(where.status).toBe(204)
    expect(where.headers.get('range')).toBe('0-99999')
    const end = new URL(where.headers.get('location') ?? '', second.url)
    end.searchParams.set('digest', digestOf(blob))
    expect(await status(end.href, { method: 'PUT', body: blob.subarray(100_000) })).toBe(201)
    expect(await getBlob(second.url, 'a/b', blob)).toBe(true)
  })
})

describe('DISK-06', () => {
  let disk: Disk | undefined
  afterEach(async () => {
    for (const each of running) await each.stop('SIGKILL')
    await disk?.remove()
  })

  it('a full disk is 507 with a code, reads go on, and so do writes when there is room again', async (context) => {
    needs(context, 'root', 'loop devices', 'program mkfs.ext4')
    disk = await makeDisk(join(folder, 'disk'), { megabytes: 24 })
    const server = await start(join(disk.folder, 'cache'), ['--limits-min-free', '0'])
    const [there, tooMuch] = [randomBytes(1_000_000), randomBytes(4_000_000)]
    expect((await putBlob(server.url, 'a/b', there)).status).toBe(201)
    disk.fillBytes(1_000_000)
    const refused = await putBlob(server.url, 'a/b', tooMuch)
    expect(refused.status).toBe(507)
    expect(await refused.json()).toMatchObject({ errors: [{ code: expect.stringMatching(/^[A-Z_]+$/) }] })
    expect(await getBlob(server.url, 'a/b', there)).toBe(true)
    expect(await getBlob(server.url, 'a/b', tooMuch)).toBe(false)
    disk.empty()
    expect((await putBlob(server.url, 'a/b', tooMuch)).status).toBe(201)
    expect(await getBlob(server.url, 'a/b', tooMuch)).toBe(true)
  })
})
