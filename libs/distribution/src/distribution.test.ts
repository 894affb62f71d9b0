import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manifestLinkKey, tagKey } from './layout.ts'
import { type ContentDigest, parseContentDigest } from './names.ts'
import { type DistributionServer, startDistribution } from './testing/index.ts'

let folder = ''
let server: DistributionServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-dist-'))
  server = await startDistribution(folder, { durability: 'none' })
})
afterEach(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
  expect(server.errors).toEqual([])
})

const at = (path: string) => `http://${server.host}${path}`
const digestOf = (bytes: Uint8Array, algorithm = 'sha256') =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`

async function pushBlob(name: string, bytes: Buffer, algorithm = 'sha256'): Promise<string> {
  const digest = digestOf(bytes, algorithm)
  const answer = await fetch(at(`/v2/${name}/blobs/uploads/?digest=${digest}`), {
    method: 'POST',
    body: bytes,
  })
  expect([answer.status, await answer.text()]).toEqual([201, ''])
  return digest
}

const begin = async (name: string) => {
  const begun = await fetch(at(`/v2/${name}/blobs/uploads/`), { method: 'POST' })
  expect(begun.status).toBe(202)
  return at(begun.headers.get('location') ?? '')
}

const json = async (answer: Response) => JSON.parse(await answer.text())

const codeOf = async (answer: Response): Promise<string> => (await json(answer)).errors[0].code

describe('what is damaged', () => {
  it('means nothing, and is healed by who stores it again, or deleted', async () => {
    const manifest = JSON.stringify({ schemaVersion: 2 })
    const headers = { 'content-type': 'application/vnd.example.thing+json' }
    const ask = (method: string, body?: string) =>
      fetch(at('/v2/a/b/manifests/v1'), { method, headers, ...(body === undefined ? {} : { body }) })
    expect((await ask('PUT', manifest)).status).toBe(201)
    const damage = async () => {
      const key = tagKey('a/b', 'v1')
      const old = (await server.store.head(key))?.version ?? null
      expect(await server.store.cas(key, old, Buffer.from('\0\0'))).toBeDefined()
    }
    await damage()
    expect((await ask('GET')).status).toBe(404)
    expect((await ask('PUT', manifest)).status).toBe(201)
    expect((await ask('GET')).status).toBe(200)
    const link = manifestLinkKey('a/b', parseContentDigest(digestOf(Buffer.from(manifest))) as ContentDigest)
    await server.store.cas(link, (await server.store.head(link))?.version ?? null, Buffer.from('{'))
    expect((await ask('GET')).status).toBe(404)
    expect((await ask('PUT', manifest)).status).toBe(201)
    expect((await ask('GET')).status).toBe(200)
    await damage()
    expect((await ask('DELETE')).status).toBe(202)
    expect((await ask('DELETE')).status).toBe(404)
  })
})

describe('blobs', () => {
  it('are read as they were sent: whole, in ranges, or not again', async () => {
    const bytes = randomBytes(1000)
    const digest = await pushBlob('a/b', bytes)
    const get = (headers: Record<string, string> = {}, method = 'GET') =>
      fetch(at(`/v2/a/b/blobs/${digest}`), { headers, method })
    const whole = await get()
    expect(Buffer.from(await whole.arrayBuffer())).toEqual(bytes)
    expect(Object.fromEntries(whole.headers)).toMatchObject({
      'content-length': '1000',
      'content-type': 'application/octet-stream',
      'docker-content-digest': digest,
      'accept-ranges': 'bytes',
      etag: `"${digest}"`,
    })
    const head = await get({}, 'HEAD')
    for (const name of ['content-length', 'content-type', 'docker-content-digest', 'etag', 'accept-ranges'])
      expect(head.headers.get(name)).toBe(whole.headers.get(name))
    const cases: [string, number, number, number][] = [
      ['bytes=0-9', 206, 0, 9],
      ['bytes=990-', 206, 990, 999],
      ['bytes=-10', 206, 990, 999],
      ['bytes=-5000', 206, 0, 999],
      ['bytes=500-5000', 206, 500, 999],
      ['bytes=0-0', 206, 0, 0],
      ['bytes=0-1,5-6', 200, 0, 999],
      ['bytes=5-2', 200, 0, 999],
      ['lines=1-2', 200, 0, 999],
      ['bytes=-', 200, 0, 999],
    ]
    for (const [range, status, start, end] of cases) {
      const part = await get({ range })
      expect([range, part.status]).toEqual([range, status])
      expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(start, end + 1))
      if (status === 206) expect(part.headers.get('content-range')).toBe(`bytes ${start}-${end}/1000`)
    }
    for (const range of ['bytes=1000-', 'bytes=2000-3000', 'bytes=-0']) {
      const behind = await get({ range })
      expect([behind.status, behind.headers.get('content-range')]).toEqual([416, 'bytes */1000'])
    }
    expect((await get({ 'if-none-match': `"${digest}"` })).status).toBe(304)
    expect((await get({ 'if-none-match': '"other"' })).status).toBe(200)
    expect((await get({ range: 'bytes=0-9', 'if-range': '"other"' })).status).toBe(200)
    expect((await get({ range: 'bytes=0-9', 'if-range': `"${digest}"` })).status).toBe(206)
  })

  it('of many megabytes and of none are the same bytes, with either algorithm', async () => {
    for (const [size, algorithm] of [
      [9_000_001, 'sha256'],
      [9_000_001, 'sha512'],
      [0, 'sha256'],
    ] as const) {
      const bytes = randomBytes(size)
      const digest = await pushBlob('big', bytes, algorithm)
      const got = await fetch(at(`/v2/big/blobs/${digest}`))
      expect(digestOf(Buffer.from(await got.arrayBuffer()), algorithm)).toBe(digest)
    }
  })

  it('that are stored are not had for their digest alone', async () => {
    const bytes = randomBytes(100)
    const digest = await pushBlob('secret', bytes)
    for (const method of ['GET', 'HEAD']) {
      expect((await fetch(at(`/v2/mine/blobs/${digest}`), { method })).status).toBe(404)
    }
    for (const body of [Buffer.alloc(0), randomBytes(100)]) {
      const claimed = await fetch(at(`/v2/mine/blobs/uploads/?digest=${digest}`), { method: 'POST', body })
      expect([claimed.status, await codeOf(claimed)]).toEqual([400, 'DIGEST_INVALID'])
      const place = await begin('mine')
      const put = await fetch(`${place}?digest=${digest}`, { method: 'PUT', body })
      expect(put.status).toBe(400)
    }
    expect((await fetch(at(`/v2/mine/blobs/${digest}`), { method: 'HEAD' })).status).toBe(404)
    await pushBlob('mine', bytes)
    expect((await fetch(at(`/v2/mine/blobs/${digest}`), { method: 'HEAD' })).status).toBe(200)
  })

  it('are deleted from one repository, and stay in another', async () => {
    const bytes = randomBytes(10)
    const digest = await pushBlob('a', bytes)
    await pushBlob('b', bytes)
    expect((await fetch(at(`/v2/a/blobs/${digest}`), { method: 'DELETE' })).status).toBe(202)
    expect((await fetch(at(`/v2/a/blobs/${digest}`), { method: 'DELETE' })).status).toBe(404)
    expect((await fetch(at(`/v2/a/blobs/${digest}`))).status).toBe(404)
    expect((await fetch(at(`/v2/b/blobs/${digest}`))).status).toBe(200)
  })

  it('that fifty clients send at one moment are one object', async () => {
    const bytes = randomBytes(300_000)
    const digests = await Promise.all(Array.from({ length: 50 }, (_, n) => pushBlob(`r${n % 5}`, bytes)))
    expect(new Set(digests).size).toBe(1)
    const content: string[] = []
    for await (const { key } of server.store.list('oci1/content/')) content.push(key)
    expect(content).toHaveLength(1)
    expect(readdirSync(join(server.store.scratch, 'uploads'))).toEqual([])
  })
})

describe('uploads', () => {
  const patch = (place: string, body: Buffer, range?: string) =>
    fetch(place, { method: 'PATCH', body, headers: range === undefined ? {} : { 'content-range': range } })

  it('go on part by part, in their order only, and say where they are', async () => {
    const bytes = randomBytes(30)
    const place = await begin('a')
    const first = await patch(place, bytes.subarray(0, 10), '0-9')
    expect([first.status, first.headers.get('range')]).toEqual([202, '0-9'])
    for (const [from, to] of [
      [20, 29],
      [0, 9],
      [9, 18],
    ] as const) {
      const wrong = await patch(place, bytes.subarray(from, to + 1), `${from}-${to}`)
      expect([wrong.status, wrong.headers.get('range'), at(wrong.headers.get('location') ?? '')]).toEqual([
        416,
        '0-9',
        place,
      ])
    }
    expect((await patch(place, bytes.subarray(10, 20), '10-30')).status).toBe(400)
    expect((await patch(place, bytes.subarray(10, 20))).status).toBe(202)
    const status = await fetch(place)
    expect([status.status, status.headers.get('range')]).toEqual([204, '0-19'])
    const digest = digestOf(bytes)
    const last = { method: 'PUT', body: bytes.subarray(20), headers: { 'content-range': '20-29' } }
    const put = await fetch(`${place}?digest=${digest}`, last)
    expect([put.status, put.headers.get('location')]).toEqual([201, `/v2/a/blobs/${digest}`])
    expect(Buffer.from(await (await fetch(at(`/v2/a/blobs/${digest}`))).arrayBuffer())).toEqual(bytes)
    expect((await fetch(place)).status).toBe(404)
  })

  it('are gone on with by another process, and after this one has ended', async () => {
    const bytes = randomBytes(30)
    const place = new URL(await begin('a'))
    await patch(place.href, bytes.subarray(0, 10))
    const other = await startDistribution(folder, { durability: 'none' })
    place.host = other.host
    expect((await patch(place.href, bytes.subarray(10, 20), '10-19')).status).toBe(202)
    await other.stop()
    await server.stop()
    server = await startDistribution(folder, { durability: 'none' })
    place.host = server.host
    expect((await fetch(place)).headers.get('range')).toBe('0-19')
    for (const algorithm of ['sha512']) {
      const digest = digestOf(bytes, algorithm)
      const put = await fetch(`${place}?digest=${digest}`, { method: 'PUT', body: bytes.subarray(20) })
      expect(put.status).toBe(201)
      expect(Buffer.from(await (await fetch(at(`/v2/a/blobs/${digest}`))).arrayBuffer())).toEqual(bytes)
    }
  })

  it('of two parts for one place keep one', async () => {
    const place = await begin('a')
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) => patch(place, Buffer.alloc(1000 + n), `0-${999 + n}`)),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 416, 416, 416, 416, 416, 416, 416])
  })

  it('are of one repository, and can be cancelled', async () => {
    const place = await begin('a')
    expect((await fetch(place.replace('/v2/a/', '/v2/b/'))).status).toBe(404)
    expect((await fetch(place, { method: 'DELETE' })).status).toBe(204)
    expect((await fetch(place, { method: 'DELETE' })).status).toBe(404)
    const put = await fetch(`${place}?digest=${digestOf(Buffer.alloc(0))}`, { method: 'PUT' })
    expect([put.status, await codeOf(put)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
  })

  it('that nothing is sent to are forgotten', async () => {
    await begin('a')
    expect(await server.distribution.uploads.expire(60_000)).toBe(0)
    expect(await server.distribution.uploads.underWay()).toBe(1)
    expect(await server.distribution.uploads.expire(-1)).toBe(1)
    expect(await server.distribution.uploads.underWay()).toBe(0)
  })

  it('keep what came before a client broke off', async () => {
    const place = new URL(await begin('a'))
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(Buffer.alloc(70_000)),
    })
    const stop = new AbortController()
    const broken = fetch(place, { method: 'PATCH', body, duplex: 'half', signal: stop.signal }).catch(
      () => 'broken',
    )
    const grown = async () =>
      readdirSync(join(server.store.scratch, 'uploads')).length === 1 && server.server.load().inFlight > 0
    while (!(await grown())) await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) => setTimeout(resolve, 50))
    stop.abort()
    expect(await broken).toBe('broken')
    let range = null
    while (range !== '0-69999') range = (await fetch(place)).headers.get('range')
  })
})

describe('mounts', () => {
  const mount = (name: string, digest: string, from?: string) =>
    fetch(at(`/v2/${name}/blobs/uploads/?mount=${digest}${from === undefined ? '' : `&from=${from}`}`), {
      method: 'POST',
    })

  it('take a blob from a repository that has it, named or not', async () => {
    const digest = await pushBlob('a', randomBytes(10))
    const named = await mount('b', digest, 'a')
    expect([named.status, named.headers.get('location')]).toEqual([201, `/v2/b/blobs/${digest}`])
    expect((await mount('c', digest)).status).toBe(201)
    expect((await fetch(at(`/v2/c/blobs/${digest}`))).status).toBe(200)
    for (const from of ['nowhere', '../a', 'A']) {
      const missing = await mount('d', digest, from)
      expect([missing.status, missing.headers.get('location')]).toEqual([
        202,
        expect.stringContaining('/uploads/'),
      ])
    }
  })
})

const imageType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'

async function imageOf(name: string, extra: object = {}, algorithm = 'sha256'): Promise<Buffer> {
  const config = Buffer.from('{}')
  const layer = randomBytes(20)
  const descriptor = async (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: await pushBlob(name, bytes, algorithm),
    size: bytes.length,
  })
  return Buffer.from(
    `${JSON.stringify({
      schemaVersion: 2,
      mediaType: imageType,
      config: await descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: [await descriptor('application/vnd.oci.image.layer.v1.tar', layer)],
      ...extra,
    })}  \n`,
  )
}

const put = (name: string, reference: string, body: Buffer | string, headers: Record<string, string> = {}) =>
  fetch(at(`/v2/${name}/manifests/${reference}`), {
    method: 'PUT',
    body,
    headers: { 'content-type': imageType, ...headers },
  })

describe('manifests', () => {
  it('are kept byte by byte, and found by tag and digest', async () => {
    for (const algorithm of ['sha256', 'sha512']) {
      const image = await imageOf('a', {}, algorithm)
      const digest = digestOf(image, algorithm)
      const pushed = await put('a', algorithm === 'sha256' ? 'v1' : `v1?digest=${digest}`, image)
      expect([pushed.status, pushed.headers.get('location')]).toEqual([201, `/v2/a/manifests/${digest}`])
      expect([pushed.headers.get('docker-content-digest'), pushed.headers.get('etag')]).toEqual([
        digest,
        `"${digest}"`,
      ])
      for (const reference of ['v1', digest]) {
        const got = await fetch(at(`/v2/a/manifests/${reference}`))
        expect(Buffer.from(await got.arrayBuffer())).toEqual(image)
        const head = await fetch(at(`/v2/a/manifests/${reference}`), { method: 'HEAD' })
        for (const one of ['content-type', 'content-length', 'docker-content-digest', 'etag'])
          expect(head.headers.get(one)).toBe(got.headers.get(one))
        expect(got.headers.get('content-type')).toBe(imageType)
      }
    }
    expect((await fetch(at('/v2/b/manifests/v1'))).status).toBe(404)
  })

  it('of any type are taken, and lists of references must be complete', async () => {
    const odd = await put('a', 'odd', 'anything', { 'content-type': 'application/vnd.example+text' })
    expect(odd.status).toBe(201)
    const missing = digestOf(randomBytes(3))
    const image = JSON.parse((await imageOf('a')).toString())
    const index = (manifests: unknown[]) =>
      JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests })
    const bad: [string, string, number, string][] = [
      [imageType, JSON.stringify({ ...image, layers: [{ digest: missing }] }), 400, 'MANIFEST_BLOB_UNKNOWN'],
      [imageType, JSON.stringify({ ...image, config: { digest: missing } }), 400, 'MANIFEST_BLOB_UNKNOWN'],
      [indexType, index([{ digest: missing }]), 400, 'MANIFEST_BLOB_UNKNOWN'],
      [imageType, JSON.stringify({ ...image, mediaType: indexType }), 400, 'MANIFEST_INVALID'],
      [indexType, JSON.stringify({ ...image, mediaType: undefined }), 400, 'MANIFEST_INVALID'],
      [imageType, JSON.stringify({ ...image, layers: 'x' }), 400, 'MANIFEST_INVALID'],
      [
        imageType,
        JSON.stringify({ ...image, layers: [{ digest: 'sha256:../../etc' }] }),
        400,
        'MANIFEST_INVALID',
      ],
      [imageType, 'no json', 400, 'MANIFEST_INVALID'],
      ['', JSON.stringify({ x: 1 }), 400, 'MANIFEST_INVALID'],
    ]
    for (const [type, body, status, code] of bad) {
      const answer = await put('a', 'bad', body, { 'content-type': type })
      expect([body, answer.status, await codeOf(answer)]).toEqual([body, status, code])
    }
    expect((await fetch(at('/v2/a/manifests/bad'))).status).toBe(404)
    const foreign = { ...image, layers: [{ digest: missing, urls: ['https://example.com/x'] }] }
    expect((await put('a', 'foreign', JSON.stringify(foreign))).status).toBe(201)
    expect((await put('a', 'empty', index([]), { 'content-type': indexType })).status).toBe(201)
  })

  it('are 4 MiB long at most, and have the digest that they are sent by', async () => {
    const image = JSON.parse((await imageOf('a')).toString())
    const long = (length: number) => {
      const text = JSON.stringify({ ...image, annotations: { pad: '' } })
      return text.replace('"pad":""', `"pad":"${'x'.repeat(length - text.length)}"`)
    }
    expect((await put('a', 'large', long(4 * 1024 * 1024))).status).toBe(201)
    expect((await put('a', 'larger', long(4 * 1024 * 1024 + 1))).status).toBe(413)
    const wrong = await put('a', digestOf(Buffer.from('x')), JSON.stringify(image))
    expect([wrong.status, await codeOf(wrong)]).toEqual([400, 'DIGEST_INVALID'])
  })

  it('are changed only from what a client saw, where it says so', async () => {
    const [first, second, third] = [await imageOf('a'), await imageOf('a'), await imageOf('a')]
    const etag = (image: Buffer) => `"${digestOf(image)}"`
    expect((await put('a', 'v', first, { 'if-match': etag(first) })).status).toBe(412)
    expect((await put('a', 'v', first, { 'if-none-match': '*' })).status).toBe(201)
    const lost = await put('a', 'v', second, { 'if-none-match': '*' })
    expect([lost.status, lost.headers.get('etag')]).toEqual([412, etag(first)])
    const both = await Promise.all([
      put('a', 'v', second, { 'if-match': etag(first) }),
      put('a', 'v', third, { 'if-match': etag(first) }),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual([201, 412])
    expect((await put('a', 'v', first, { 'if-match': '*' })).status).toBe(201)
    const get = await fetch(at('/v2/a/manifests/v'), { headers: { 'if-none-match': etag(first) } })
    expect(get.status).toBe(304)
  })

  it('pushed by digest are given the tags that are asked for', async () => {
    const image = await imageOf('a')
    const pushed = await put('a', `${digestOf(image)}?tag=x&tag=y`, image)
    expect([pushed.status, pushed.headers.get('oci-tag')]).toEqual([201, 'x, y'])
    expect((await json(await fetch(at('/v2/a/tags/list')))).tags).toEqual(['x', 'y'])
    expect((await put('a', `${digestOf(image)}?tag=..%2fx`, image)).status).toBe(400)
  })

  it('are deleted with their tags; a tag alone is deleted alone', async () => {
    const image = await imageOf('a')
    const digest = digestOf(image)
    for (const tag of ['x', 'y', 'z']) await put('a', tag, image)
    await put('a', 'other', await imageOf('a'))
    const remove = async (reference: string) =>
      (await fetch(at(`/v2/a/manifests/${reference}`), { method: 'DELETE' })).status
    expect(await remove('x')).toBe(202)
    expect((await fetch(at(`/v2/a/manifests/${digest}`))).status).toBe(200)
    expect(await remove(digest)).toBe(202)
    for (const reference of ['x', 'y', 'z', digest]) {
      expect((await fetch(at(`/v2/a/manifests/${reference}`), { method: 'HEAD' })).status).toBe(404)
      expect(await remove(reference)).toBe(404)
    }
    expect((await json(await fetch(at('/v2/a/tags/list')))).tags).toEqual(['other'])
  })

  it('deleted by one process are gone for another at once', async () => {
    const image = await imageOf('a')
    await put('a', 'x', image)
    const other = await startDistribution(folder, { durability: 'none' })
    const there = async () => (await fetch(`http://${other.host}/v2/a/manifests/x`)).status
    expect(await there()).toBe(200)
    await fetch(at(`/v2/a/manifests/${digestOf(image)}`), { method: 'DELETE' })
    expect(await there()).toBe(404)
    await put('a', 'x', await imageOf('a'))
    expect(await there()).toBe(200)
    await other.stop()
  })
})

describe('lists', () => {
  it('of tags are in the order of their bytes, page by page', async () => {
    const image = await imageOf('a')
    const longest = ['_', 'Z'.repeat(128), `${'Z'.repeat(127)}a`, '_'.repeat(128)]
    const tags = ['v1', 'v10', 'v1.0', 'v1-0', 'v1_0', 'V1', 'a', 'A', 'Zz', '_a', 'aA', 'aa', ...longest]
    for (const tag of tags) expect((await put('a', tag, image)).status).toBe(201)
    const sorted = [...tags].sort()
    const list = async (path: string) => {
      const answer = await fetch(at(path))
      return { ...(await json(answer)), link: answer.headers.get('link') }
    }
    expect(await list('/v2/a/tags/list')).toEqual({ name: 'a', tags: sorted, link: null })
    const seen: string[] = []
    let path: string | undefined = '/v2/a/tags/list?n=5'
    while (path !== undefined) {
      const page = await list(path)
      expect(page.tags.length).toBeLessThanOrEqual(5)
      seen.push(...page.tags)
      path = /^<(.*)>; rel="next"$/.exec(page.link ?? '')?.[1]
    }
    expect(seen).toEqual(sorted)
    expect((await list('/v2/a/tags/list?n=0')).tags).toEqual([])
    expect((await list('/v2/a/tags/list?last=v1.5')).tags).toEqual(sorted.filter((tag) => tag > 'v1.5'))
    for (const n of ['2147483648', '9223372036854775808', '99999999999999999999999'])
      expect((await list(`/v2/a/tags/list?n=${n}`)).tags).toEqual(sorted)
    for (const n of ['-1', '1e400', 'NaN', '1.5', '', '0x10'])
      expect([n, (await fetch(at(`/v2/a/tags/list?n=${n}`))).status]).toEqual([n, 400])
    expect((await fetch(at('/v2/nothing/tags/list'))).status).toBe(404)
  })

  it('of repositories name each once, page by page', async () => {
    const names = ['a', 'a/b', 'a/b/c', 'a-b', 'a0', 'b.c/d_e', 'zz'].sort()
    for (const name of names) await pushBlob(name, Buffer.from(name))
    const seen: string[] = []
    let path: string | undefined = '/v2/_catalog?n=2'
    while (path !== undefined) {
      const answer: Response = await fetch(at(path))
      seen.push(...(await json(answer)).repositories)
      path = /^<(.*)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1]
    }
    expect([...seen].sort()).toEqual(names)
    for (const n of ['2147483648', '9223372036854775808'])
      expect((await json(await fetch(at(`/v2/_catalog?n=${n}`)))).repositories).toHaveLength(7)
    for (const n of ['-1', '1e400']) expect((await fetch(at(`/v2/_catalog?n=${n}`))).status).toBe(400)
    expect((await json(await fetch(at('/v2/_catalog?n=0')))).repositories).toEqual([])
  })

  it('of what refers to a manifest are filtered, and end with it', async () => {
    const subjectImage = await imageOf('a')
    const subject = { mediaType: imageType, digest: digestOf(subjectImage), size: subjectImage.length }
    const referrers = async (query = '') => {
      const answer = await fetch(at(`/v2/a/referrers/${subject.digest}${query}`))
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, indexType])
      return { ...(await json(answer)), filters: answer.headers.get('oci-filters-applied') }
    }
    expect(await referrers()).toMatchObject({
      schemaVersion: 2,
      mediaType: indexType,
      manifests: [],
      filters: null,
    })
    const typed = await imageOf('a', { subject, artifactType: 'application/x.a', annotations: { k: 'v' } })
    const plain = await imageOf('a', { subject })
    const pushed = await put('a', digestOf(typed), typed)
    expect(pushed.headers.get('oci-subject')).toBe(subject.digest)
    await put('a', digestOf(plain), plain)
    const all = (await referrers()).manifests
    expect(all).toHaveLength(2)
    expect(all).toContainEqual({
      mediaType: imageType,
      digest: digestOf(typed),
      size: typed.length,
      artifactType: 'application/x.a',
      annotations: { k: 'v' },
    })
    expect(all.find((one: { digest: string }) => one.digest === digestOf(plain)).artifactType).toBe(
      'application/vnd.oci.image.config.v1+json',
    )
    const filtered = await referrers('?artifactType=application/x.a')
    expect([filtered.manifests.length, filtered.filters]).toEqual([1, 'artifactType'])
    await fetch(at(`/v2/a/manifests/${digestOf(typed)}`), { method: 'DELETE' })
    expect((await referrers()).manifests).toHaveLength(1)
    expect((await fetch(at('/v2/a/referrers/x'))).status).toBe(400)
  })
})
