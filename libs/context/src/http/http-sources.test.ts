import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { serving, startFileServer } from '../testing/file-server.ts'
import { fileOf, keptOf, setUp } from '../testing/http-set-up.ts'

const modified = 'Sun, 06 Nov 1994 08:49:37 GMT'
const modifiedSeconds = 784_111_777
const dated = { 'last-modified': modified }

describe('URL', () => {
  it('one GET; mode 0600, mtime = Last-Modified; not extracted', async () => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text', dated))
    const found = await fetch(server.url('/a'), { filename: 'a.tar' })
    expect(fileOf(found)).toMatchObject({
      names: ['a.tar'],
      text: 'text',
      mode: 0o600,
      mtimeMs: modifiedSeconds * 1000,
    })
    expect(found).toEqual({
      tree: {
        kind: 'directory',
        path: expect.stringContaining(store.root),
        ignore: [],
        fingerprints: expect.stringContaining(store.root),
        checkoutUmask: null,
      },
      shown: server.url('/a'),
      pinned: digestBytes('text'),
      sourceDate: modifiedSeconds,
    })
    expect(server.requests.map(({ method }) => method)).toEqual(['GET'])
    expect(server.requests[0]?.headers).toMatchObject({
      'accept-encoding': 'identity',
      'user-agent': expect.stringContaining('tsbuild/'),
    })
  })

  it('mtime without Last-Modified is 1970-01-01; Content-Disposition does not count', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('x', { 'content-disposition': 'attachment; filename="../../evil"' }))
    server.on('/b', serving('y', { 'last-modified': 'yesterday' }))
    for (const path of ['/a', '/b']) {
      const found = await fetch(server.url(path))
      expect(fileOf(found)).toMatchObject({ names: ['file'], mtimeMs: 0 })
      expect(found.sourceDate).toBeUndefined()
    }
  })

  it('an empty file is a file', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/empty', serving(''))
    server.on('/none', (_nth, _request, response) => response.writeHead(204).end())
    for (const path of ['/empty', '/none']) {
      expect(fileOf(await fetch(server.url(path), { filename: path.slice(1) }))).toMatchObject({ text: '' })
    }
  })

  it.each(['', '.', '..', 'a/b', '/', 'a\0'])('a file cannot be called %j', async (filename) => {
    const { fetch } = await setUp()
    await expect(fetch('http://127.0.0.1:1/x', { filename })).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
  })

  it('tells how many bytes came, and of how many', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('12345'))
    const seen: unknown[] = []
    await fetch(server.url('/a'), { onProgress: (...progress) => seen.push(progress) })
    expect(seen.at(-1)).toEqual([5, 5])
  })
})

describe('URL caching', () => {
  it.each([
    ['ETag', { etag: '"1"' }, { 'if-none-match': '"1"' }],
    ['weak ETag', { etag: 'W/"1"' }, { 'if-none-match': 'W/"1"' }],
    ['Last-Modified', dated, { 'if-modified-since': modified }],
    ['ETag rather than Last-Modified', { ...dated, etag: '"1"' }, { 'if-none-match': '"1"' }],
  ])('the server is contacted on each build, 304 → cached: %s', async (_, headers, condition) => {
    const [server, first] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text', headers))
    const found = await first.fetch(server.url('/a'))
    const next = await setUp({ root: first.root })
    expect(await next.fetch(server.url('/a'))).toEqual(found)
    expect(server.requests.map(({ method }) => method)).toEqual(['GET', 'GET'])
    const [, second] = server.requests
    expect(second?.headers).toMatchObject(condition)
    const conditions = Object.keys(second?.headers ?? {}).filter((name) => name.startsWith('if-'))
    expect(conditions).toEqual(Object.keys(condition))
  })

  it('what changed is fetched, and the older tree stays as it was', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('one', { etag: '"1"' }))
    const first = await fetch(server.url('/a'))
    server.on('/a', serving('two', { etag: '"2"' }))
    const second = await fetch(server.url('/a'))
    expect([fileOf(first).text, fileOf(second).text]).toEqual(['one', 'two'])
    expect([first.pinned, second.pinned]).toEqual([digestBytes('one'), digestBytes('two')])
    expect(await fetch(server.url('/a'))).toEqual(second)
    expect(server.requests).toHaveLength(3)
  })

  it('the same bytes with another ETag, or with none, are kept once', async () => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('same', { etag: '"1"' }))
    const first = await fetch(server.url('/a'))
    server.on('/a', serving('same', { etag: '"2"' }))
    expect(await fetch(server.url('/a'))).toEqual(first)
    server.on('/a', serving('same'))
    expect(await fetch(server.url('/a'))).toEqual(first)
    expect(server.requests.at(-1)?.headers['if-none-match']).toBe('"2"')
    await fetch(server.url('/a'))
    expect(server.requests.at(-1)?.headers['if-none-match']).toBeUndefined()
    expect(keptOf(store).paths.filter((path) => path.endsWith('/source.json'))).toHaveLength(1)
  })

  it('the same bytes with another Last-Modified are a file with another time', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('same', dated))
    const first = await fetch(server.url('/a'))
    server.on('/a', serving('same', { 'last-modified': 'Sun, 06 Nov 1994 08:49:38 GMT' }))
    const second = await fetch(server.url('/a'))
    expect(second.sourceDate).toBe(modifiedSeconds + 1)
    expect([first, second].map((found) => fileOf(found).mtimeMs)).toEqual([
      modifiedSeconds * 1000,
      (modifiedSeconds + 1) * 1000,
    ])
  })

  it('a server that has ETags and does not know If-None-Match is believed', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const body = Buffer.alloc(4 * 1024 * 1024, 'x')
    server.on('/a', (_nth, _request, response) => response.writeHead(200, { etag: '"1"' }).end(body))
    const first = await fetch(server.url('/a'))
    const seen: unknown[] = []
    expect(await fetch(server.url('/a'), { onProgress: (bytes) => seen.push(bytes) })).toEqual(first)
    expect(seen).toEqual([])
  })

  it('304 to a different body: what the server gives another ETag is fetched again', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('one', { etag: '"1"' }))
    await fetch(server.url('/a'))
    server.on('/a', (_nth, request, response) => {
      const known = request.headers['if-none-match'] !== undefined
      response.writeHead(known ? 304 : 200, { etag: '"2"' }).end(known ? undefined : 'two')
    })
    expect(fileOf(await fetch(server.url('/a'))).text).toBe('two')
  })

  it('a 304 that nobody asked for is an error', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', (_nth, _request, response) => response.writeHead(304).end())
    await expect(fetch(server.url('/a'))).rejects.toMatchObject({
      message: expect.stringMatching(/invalid response status 304$/),
    })
  })

  it('a Last-Modified as young as its answer does not tell versions apart', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT'
    server.on('/a', serving('one', { ...dated, date }))
    await fetch(server.url('/a'))
    await fetch(server.url('/a'))
    expect(server.requests[1]?.headers['if-modified-since']).toBeUndefined()
  })

  it('a file that is gone or has lost bytes is fetched again, whatever is said of it', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text', { etag: '"1"' }))
    const damages = [(path: string) => rmSync(path), (path: string) => writeFileSync(path, 'te')]
    for (const damage of damages) {
      damage(fileOf(await fetch(server.url('/a'))).path)
      expect(fileOf(await fetch(server.url('/a'))).text).toBe('text')
      expect(server.requests.at(-1)?.headers['if-none-match']).toBeUndefined()
    }
  })

  it('one URL under two file names is two trees', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text', { etag: '"1"' }))
    expect(fileOf(await fetch(server.url('/a'), { filename: 'a' })).names).toEqual(['a'])
    expect(fileOf(await fetch(server.url('/a'), { filename: 'context' })).names).toEqual(['context'])
    expect(fileOf(await fetch(server.url('/a'), { filename: 'a' })).names).toEqual(['a'])
  })

  it('the query counts for what is asked, and is not kept', async () => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    server.on('/a?v=1', serving('one', { etag: '"e"' }))
    server.on('/a?v=2', serving('two', { etag: '"e"' }))
    expect(fileOf(await fetch(server.url('/a?v=1'))).text).toBe('one')
    expect(fileOf(await fetch(server.url('/a?v=2'))).text).toBe('two')
    expect(keptOf(store).text).not.toContain('v=')
  })
})

describe('--checksum', () => {
  const checksum = digestBytes('text')

  it('content known: no network, under any URL and any name', async () => {
    const [server, first] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text', dated))
    const found = await first.fetch(server.url('/a'))
    const { fetch } = await setUp({ root: first.root })
    expect(await fetch('http://127.0.0.1:1/other', { checksum })).toEqual({
      ...found,
      shown: 'http://127.0.0.1:1/other',
    })
    const renamed = await fetch('http://127.0.0.1:1/other', { checksum, filename: 'other' })
    expect(fileOf(renamed)).toEqual({
      ...fileOf(found),
      names: ['other'],
      path: expect.stringMatching(/\/other$/),
    })
    expect(server.requests).toHaveLength(1)
  })

  it('content unknown: one GET, and none the next time', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text'))
    const found = await fetch(server.url('/a'), { checksum })
    expect(found.pinned).toBe(checksum)
    expect(await fetch(server.url('/a'), { checksum })).toEqual(found)
    expect(server.requests).toHaveLength(1)
  })

  it('a wrong one names both digests, and nothing is kept', async () => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('other', { etag: '"1"' }))
    await expect(fetch(server.url('/a'), { checksum })).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_DIGEST_MISMATCH',
      message: `Cannot fetch "${server.url('/a')}": its digest is ${digestBytes('other')}, expected ${checksum}`,
    })
    expect(keptOf(store).paths).toEqual([])
    expect(server.requests).toHaveLength(1)
  })

  it('the server changes the body with the same ETag: it is fetched, and refused', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('other', { etag: '"1"' }))
    const before = await fetch(server.url('/a'))
    await expect(fetch(server.url('/a'), { checksum })).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
    expect(server.requests[1]?.headers['if-none-match']).toBeUndefined()
    expect(await fetch(server.url('/a'))).toEqual(before)
  })

  it('what is damaged in the store is fetched again', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text', { etag: '"1"' }))
    const found = await fetch(server.url('/a'), { checksum })
    writeFileSync(fileOf(found).path, 'tEXt')
    const again = await fetch(server.url('/a'), { checksum })
    expect(readFileSync(fileOf(again).path, 'utf8')).toBe('text')
    expect(server.requests).toHaveLength(2)
  })
})
