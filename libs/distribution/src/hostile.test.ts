import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requestRaw, sendRaw, statusOf } from '@tsbuild/http-server/testing'
import { type Grant, loopbackGrant, type Operation } from '@tsbuild/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DistributionServer, startDistribution } from './testing/index.ts'

const grant = (id: string, operations: Operation[], pull: string[], push: string[]): Grant => ({
  ...loopbackGrant,
  authenticated: true,
  id,
  subject: `token:${id}`,
  operations,
  read: [],
  write: undefined,
  repositories: { pull, push },
})
const all: Operation[] = ['pull', 'push', 'delete', 'admin']
const grants = {
  root: grant('root', all, ['**'], ['**']),
  a: grant('a', all, ['a/**', 'a'], ['a/**', 'a']),
  pusher: grant('pusher', ['pull', 'push'], ['a'], ['a']),
  reader: grant('reader', ['pull'], ['**'], []),
  job: { ...grant('job', ['pull', 'push'], ['a'], ['a']), account: 'run/17' },
  rerun: { ...grant('rerun', ['pull', 'push'], ['a'], ['a']), account: 'run/17' },
  small: { ...grant('small', ['pull', 'push'], ['a'], ['a']), maxBytes: 1000 },
}

let folder = ''
let server: DistributionServer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-dist-hostile-'))
  server = await startDistribution(folder, {
    durability: 'none',
    grants,
    distribution: { limits: { blobBytes: 1 << 20, uploadsPerToken: 5 } },
    http: { limits: { idleMs: 300, lingerMs: 50 } },
  })
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
  expect(server.errors).toEqual([])
})

type Who = keyof typeof grants | 'nobody'
const ask = (who: Who, method: string, path: string, init: RequestInit = {}) =>
  fetch(`http://${server.host}${path}`, {
    method,
    ...init,
    headers: { ...(who === 'nobody' ? {} : { authorization: `Bearer ${who}` }), ...init.headers },
  })
const digestOf = (bytes: Uint8Array | string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

async function pushed(name: string, bytes = randomBytes(64)) {
  const digest = digestOf(bytes)
  const answer = await ask('root', 'POST', `/v2/${name}/blobs/uploads/?digest=${digest}`, { body: bytes })
  expect(answer.status).toBe(201)
  return digest
}

describe('a repository', () => {
  it('that may not be read looks as if it were not there, also through one that may', async () => {
    const digest = await pushed('b/secret')
    await ask('root', 'PUT', '/v2/b/secret/manifests/v1', { body: '{}', headers: { 'content-type': 'x/y' } })
    const paths = [`blobs/${digest}`, 'manifests/v1', 'tags/list', `referrers/${digest}`]
    for (const path of paths) {
      for (const method of ['GET', 'HEAD']) {
        const hidden = await ask('a', method, `/v2/b/secret/${path}`)
        const nothing = await ask('a', method, `/v2/b/nothing/${path}`)
        expect([path, hidden.status]).toEqual([path, 404])
        expect(await hidden.text()).toBe(await nothing.text())
      }
    }
    for (const method of ['GET', 'HEAD']) {
      expect((await ask('a', method, `/v2/a/blobs/${digest}`)).status).toBe(404)
      expect(
        (await ask('a', method, `/v2/a/blobs/${digest}`, { headers: { range: 'bytes=0-1' } })).status,
      ).toBe(404)
    }
    for (const from of [
      '&from=b/secret',
      '&from=b%2Fsecret',
      '&from=..%2Fb%2Fsecret',
      '&from=a/../b/secret',
      '',
    ]) {
      const mount = await ask('a', 'POST', `/v2/a/blobs/uploads/?mount=${digest}${from}`)
      expect([from, mount.status, mount.headers.get('docker-content-digest')]).toEqual([from, 202, null])
      await ask('a', 'DELETE', mount.headers.get('location') ?? '')
    }
    const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 64 }
    const image = JSON.stringify({ schemaVersion: 2, config: layer, layers: [layer] })
    const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }
    expect((await ask('a', 'PUT', '/v2/a/manifests/stolen', { body: image, headers })).status).toBe(400)
    expect((await ask('a', 'HEAD', `/v2/a/blobs/${digest}`)).status).toBe(404)
    const catalog = JSON.parse(await (await ask('a', 'GET', '/v2/_catalog')).text())
    expect(catalog.repositories).not.toContain('b/secret')
    expect(JSON.parse(await (await ask('root', 'GET', '/v2/_catalog')).text()).repositories).toContain(
      'b/secret',
    )
  })

  it('is not deleted from by who may push, nor written by who may read, nor used by nobody', async () => {
    const digest = await pushed('a')
    await ask('root', 'PUT', '/v2/a/manifests/keep', { body: '{}', headers: { 'content-type': 'x/y' } })
    const upload = (await ask('root', 'POST', '/v2/a/blobs/uploads/')).headers.get('location') ?? ''
    const deletions: [string, string][] = [
      ['DELETE', `/v2/a/blobs/${digest}`],
      ['DELETE', '/v2/a/manifests/keep'],
      ['DELETE', `/v2/a/manifests/${digestOf('{}')}`],
    ]
    const writes: [string, string][] = [
      ['POST', '/v2/a/blobs/uploads/'],
      ['POST', `/v2/a/blobs/uploads/?digest=${digest}`],
      ['POST', `/v2/a/blobs/uploads/?mount=${digest}&from=a`],
      ['PUT', '/v2/a/manifests/new'],
      ['PATCH', upload],
      ['PUT', `${upload}?digest=${digest}`],
      ['GET', upload],
      ['DELETE', upload],
    ]
    for (const [method, path] of deletions) expect((await ask('pusher', method, path)).status).toBe(403)
    for (const [method, path] of [...deletions, ...writes]) {
      expect([method, path, (await ask('reader', method, path)).status]).toEqual([method, path, 403])
      const stranger = await ask('nobody', method, path)
      expect([stranger.status, stranger.headers.get('www-authenticate')]).toEqual([
        401,
        expect.stringMatching(/^Basic /),
      ])
    }
    for (const path of [`blobs/${digest}`, 'manifests/keep']) {
      expect((await ask('nobody', 'HEAD', `/v2/a/${path}`)).status).toBe(401)
      expect((await ask('reader', 'HEAD', `/v2/a/${path}`)).status).toBe(200)
    }
    expect((await ask('nobody', 'GET', '/v2/')).status).toBe(401)
    expect((await ask('nobody', 'GET', '/v2/_catalog')).status).toBe(401)
  })

  it.each([
    'A',
    'a..b',
    'a__',
    '.a',
    '-a',
    'a/-b',
    '_blobs',
    'a/_tags',
    '%5fblobs',
    'a%20b',
    'a%0d%0ab',
    'ä',
    'a:b',
    'a@b',
    'a,b',
    'a$(id)',
    'con~1',
    'a'.repeat(256),
  ])('of the name %s is none', async (name) => {
    const head = ['Host: localhost', 'Authorization: Bearer root']
    for (const line of [
      `GET /v2/${name}/tags/list`,
      `POST /v2/${name}/blobs/uploads/`,
      `PUT /v2/${name}/manifests/x`,
    ]) {
      const answer = await requestRaw(server.port, [`${line} HTTP/1.1`, ...head])
      expect([400, 404]).toContain(statusOf(answer))
      expect(answer).not.toMatch(/\r\nSet-Cookie|oci1/i)
    }
    for await (const { key } of server.store.list('')) expect(key).not.toMatch(/\/(tags|blobs)\/_|\.\./)
  })
})

describe('uploads', () => {
  const sizes = () => readdirSync(join(server.store.scratch, 'uploads'))
  const begin = async (who: Who) => {
    const begun = await ask(who, 'POST', '/v2/a/blobs/uploads/')
    return {
      status: begun.status,
      place: begun.headers.get('location') ?? '',
      retry: begun.headers.get('retry-after'),
    }
  }

  it('that never end are ended at the largest size, and leave nothing', async () => {
    const { place } = await begin('pusher')
    const head = `PATCH ${place} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pusher\r\nTransfer-Encoding: chunked\r\n\r\n`
    const chunk = `10000\r\n${'x'.repeat(65536)}\r\n`
    expect(statusOf(await sendRaw(server.port, head + chunk.repeat(20)))).toBe(413)
    const status = await ask('pusher', 'GET', place)
    expect([status.status, status.headers.get('range')]).toEqual([204, '0-0'])
    const announced = ['Host: x', 'Authorization: Bearer pusher', 'Content-Length: 999999999999']
    expect(statusOf(await requestRaw(server.port, [`PATCH ${place} HTTP/1.1`, ...announced]))).toBe(413)
    await ask('pusher', 'DELETE', place)
    expect(sizes().filter((name) => name.startsWith('one-'))).toEqual([])
  })

  it('whose length is wrong are no blobs', async () => {
    const bytes = randomBytes(100)
    const digest = digestOf(bytes)
    const post = `POST /v2/a/blobs/uploads/?digest=${digest} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pusher\r\n`
    const less = Buffer.concat([Buffer.from(`${post}Content-Length: 200\r\n\r\n`), bytes])
    expect(statusOf(await sendRaw(server.port, less))).toBe(408)
    const more = Buffer.concat([Buffer.from(`${post}Content-Length: 50\r\n\r\n`), bytes])
    expect(statusOf(await sendRaw(server.port, more, (answer) => answer.includes('DIGEST_INVALID')))).toBe(
      400,
    )
    expect((await ask('root', 'HEAD', `/v2/a/blobs/${digest}`)).status).toBe(404)
  })

  it('of one token are only so many, and another may begin one', async () => {
    const begun = []
    for (let count = 0; count < 5; count += 1) begun.push(await begin('pusher'))
    const refused = await begin('pusher')
    expect([refused.status, refused.retry]).toEqual([429, '60'])
    const other = await begin('a')
    expect(other.status).toBe(202)
    for (const { place } of [...begun, other]) await ask('root', 'DELETE', place)
    expect((await begin('pusher')).status).toBe(202)
  })

  it('of all tokens of one account are only so many', async () => {
    const begun = []
    for (const who of ['job', 'rerun', 'job', 'rerun', 'job'] as const) begun.push(await begin(who))
    expect(begun.map(({ status }) => status)).toEqual(Array(5).fill(202))
    expect([(await begin('rerun')).status, (await begin('job')).status]).toEqual([429, 429])
    for (const { place } of begun) await ask('root', 'DELETE', place)
  })

  it('and manifests of a token with a bound are bounded', async () => {
    const bytes = randomBytes(1001)
    const answer = await ask('small', 'POST', `/v2/a/blobs/uploads/?digest=${digestOf(bytes)}`, {
      body: bytes,
    })
    expect(answer.status).toBe(413)
    const long = await ask('small', 'PUT', '/v2/a/manifests/x', {
      body: bytes,
      headers: { 'content-type': 'x/y' },
    })
    expect(long.status).toBe(413)
  })

  it.each([
    '..%2f..',
    '%2e%2e',
    '0'.repeat(47),
    'F'.repeat(48),
    `${'0'.repeat(48)}%2fsession.json`,
    'new-0',
    'one-0',
  ])('of the id %s are none', async (id) => {
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const line = `${method} /v2/a/blobs/uploads/${id} HTTP/1.1`
      const answer = await requestRaw(server.port, [line, 'Host: x', 'Authorization: Bearer root'])
      expect([400, 404]).toContain(statusOf(answer))
    }
  })
})
