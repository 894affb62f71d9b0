import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { type Handler, serving, servingInPieces, startFileServer } from '../testing/file-server.ts'
import { fileOf, keptOf, setUp } from '../testing/http-set-up.ts'

const status =
  (code: number, headers: Record<string, string> = {}): Handler =>
  (_nth, _request, response) =>
    response.writeHead(code, headers).end('CANARY: what the server says')

describe('status ≥ 400', () => {
  it.each([
    [400, 1],
    [404, 1],
    [410, 1],
    [503, 6],
    [429, 6],
  ])('error `invalid response status %d` after %d tries', async (code, tries) => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    server.on('/a?q', status(code))
    const error: unknown = await fetch(server.url('/a?q')).catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      kind: 'user',
      code: 'ERR_HTTP_STATUS',
      message: `Cannot fetch "${server.url('/a')}?…": invalid response status ${code}`,
    })
    expect(server.requests).toHaveLength(tries)
    expect(keptOf(store).paths).toEqual([])
  })

  it('5xx and 429 are tried again, after what Retry-After says', async () => {
    const [server, { fetch, pauses }] = [await startFileServer(), await setUp({ random: () => 1 })]
    server.on('/a', (nth, request, response) => {
      const answers = [status(503), status(429, { 'retry-after': '7' }), serving('text')]
      answers[nth]?.(nth, request, response)
    })
    expect(fileOf(await fetch(server.url('/a'))).text).toBe('text')
    expect(pauses).toEqual([500, 7000])
  })

  it.each([300, 302, 206])('%d without what belongs to it is an error too', async (code) => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', status(code))
    await expect(fetch(server.url('/a'))).rejects.toMatchObject({ code: 'ERR_HTTP_STATUS' })
  })
})

describe('a server that is not there', () => {
  it('is ERR_HTTP_UNREACHABLE after three tries', async () => {
    const { fetch, pauses } = await setUp()
    await expect(fetch('http://127.0.0.1:1/a?key=CANARY')).rejects.toMatchObject({
      kind: 'environment',
      code: 'ERR_HTTP_UNREACHABLE',
      message: 'Cannot fetch "http://127.0.0.1:1/a?…": 127.0.0.1:1 does not answer (ECONNREFUSED)',
    })
    expect(pauses).toHaveLength(2)
  })

  it('or does not speak HTTPS is ERR_HTTP_UNREACHABLE at once', async () => {
    const [server, { fetch, pauses }] = [await startFileServer(), await setUp()]
    await expect(fetch(`https://${server.host}/a`)).rejects.toMatchObject({
      code: 'ERR_HTTP_UNREACHABLE',
      message: expect.stringContaining('does not speak HTTPS'),
    })
    expect(pauses).toEqual([])
  })
})

describe('resume', () => {
  const body = randomBytes(300_000)
  const pieceBytes = 100_000
  const etag = '"strong"'

  it('a cut connection is continued with Range and If-Range', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', servingInPieces(body, { cuts: 2, pieceBytes, headers: { etag } }))
    const found = await fetch(server.url('/a'))
    expect(found.pinned).toBe(digestBytes(body))
    const asked = server.requests.map(({ headers }) => [headers.range, headers['if-range']])
    expect(asked[0]).toEqual([undefined, undefined])
    expect(asked.slice(1)).toEqual([
      [expect.stringMatching(/^bytes=\d+-$/), etag],
      [expect.stringMatching(/^bytes=\d+-$/), etag],
    ])
  })

  it.each([
    ['a weak ETag', { etag: 'W/"weak"' }],
    ['no ETag', { 'last-modified': 'Sun, 06 Nov 1994 08:49:37 GMT' }],
  ])('with %s it is fetched anew', async (_, headers) => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', servingInPieces(body, { cuts: 1, pieceBytes, headers }))
    expect((await fetch(server.url('/a'))).pinned).toBe(digestBytes(body))
    expect(server.requests.map(({ headers: { range } }) => range)).toEqual([undefined, undefined])
  })

  it('what changed in between is fetched anew', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const other = randomBytes(200_000)
    const cut = servingInPieces(body, { cuts: 1, pieceBytes, headers: { etag } })
    const changed = servingInPieces(other, { cuts: 0, pieceBytes, headers: { etag: '"new"' } })
    server.on('/a', (nth, ...rest) => (nth === 0 ? cut : changed)(nth, ...rest))
    const found = await fetch(server.url('/a'))
    expect(found.pinned).toBe(digestBytes(other))
    await fetch(server.url('/a'))
    expect(server.requests.at(-1)?.headers['if-none-match']).toBe('"new"')
  })

  it.each<[string, number, (from: number) => Record<string, string>]>([
    ['another range', 206, (from) => ({ etag, 'content-range': `bytes ${from - 1}-299999/300000` })],
    ['a range of another length', 206, (from) => ({ etag, 'content-range': `bytes ${from}-299999/400000` })],
    ['no range at all', 206, () => ({ etag })],
    [
      'the rest of another file',
      206,
      (from) => ({ etag: '"other"', 'content-range': `bytes ${from}-299999/300000` }),
    ],
    ['that there is no such range', 416, () => ({ 'content-range': 'bytes */300000' })],
  ])('a server that answers with %s is asked for the whole', async (_, code, headersAt) => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const cut = servingInPieces(body, { cuts: 1, pieceBytes, headers: { etag } })
    server.on('/a', (nth, request, response) => {
      const { range } = request.headers
      if (range === undefined) return cut(nth, request, response)
      const from = Number(/\d+/.exec(range))
      response.writeHead(code, headersAt(from)).end(Buffer.alloc(body.length - from, 'x'))
    })
    expect((await fetch(server.url('/a'))).pinned).toBe(digestBytes(body))
    expect(server.requests.map(({ headers: { range } }) => range !== undefined)).toEqual([false, true, false])
  })

  it('a file of unknown length is continued as soon as its range says how long it is', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const cut = servingInPieces(body, { cuts: 0, pieceBytes, headers: { etag } })
    server.on('/a', (nth, request, response) => {
      if (nth > 0) return cut(nth, request, response)
      response.writeHead(200, { etag }).write(body.subarray(0, pieceBytes), () => response.destroy())
    })
    expect((await fetch(server.url('/a'))).pinned).toBe(digestBytes(body))
    expect(server.requests[1]?.headers['if-range']).toBe(etag)
  })

  it.each([
    ['with each piece before there is any progress', 1000, { etag }],
    ['though nothing can be continued', pieceBytes, { etag: 'W/"x"' }],
  ])(
    'a server that always cuts the connection %s is given up; nothing is kept',
    async (_, bytes, headers) => {
      const [server, { fetch, store }] = [await startFileServer(), await setUp()]
      server.on('/a', servingInPieces(body, { cuts: 1000, pieceBytes: bytes, headers }))
      await expect(fetch(server.url('/a'))).rejects.toMatchObject({ code: 'ERR_HTTP_UNREACHABLE' })
      expect(server.requests).toHaveLength(6)
      expect(keptOf(store).paths).toEqual([])
    },
  )

  it('an answer shorter than its Content-Length is not the file', async () => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    server.on('/a', (_nth, _request, response) => {
      response.writeHead(200, { 'content-length': 10, connection: 'close' })
      response.write('short', () => response.socket?.end())
    })
    await expect(fetch(server.url('/a'))).rejects.toMatchObject({ code: 'ERR_HTTP_UNREACHABLE' })
    expect(keptOf(store).paths).toEqual([])
  })

  it('a chunked answer without its end is not the file', async () => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    server.on('/a', (_nth, _request, response) => {
      response.writeHead(200, { connection: 'close' })
      response.write('half', () => response.socket?.end())
    })
    await expect(fetch(server.url('/a'))).rejects.toMatchObject({ code: 'ERR_HTTP_UNREACHABLE' })
    expect(keptOf(store).paths).toEqual([])
  })

  it('an answer that hardly brings any bytes is given up', async () => {
    let time = 0
    const [server, { fetch }] = [await startFileServer(), await setUp({ now: () => (time += 31_000) })]
    server.on('/a', (nth, request, response) => {
      if (nth > 0) return serving('text')(nth, request, response)
      response.writeHead(200, { 'content-length': 1000 }).write('slow')
    })
    expect(fileOf(await fetch(server.url('/a'))).text).toBe('text')
  })
})

describe('the limit', () => {
  it.each([
    ['announced', { 'content-length': '11' }],
    ['unannounced', {}],
  ])('a larger file is refused when it is %s, and nothing is kept', async (_, headers) => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp({ maxBytes: 10 })]
    server.on('/a', (_nth, _request, response) => response.writeHead(200, headers).end('01234567890'))
    server.on('/b', (_nth, _request, response) => response.writeHead(200).end('0123456789'))
    await expect(fetch(server.url('/a'))).rejects.toMatchObject({
      kind: 'environment',
      code: 'ERR_HTTP_RESPONSE',
      message: expect.stringContaining('larger than 10 bytes'),
    })
    expect(server.requests).toHaveLength(1)
    expect(keptOf(store).paths).toEqual([])
    expect(fileOf(await fetch(server.url('/b'))).text).toBe('0123456789')
  })
})

describe('Content-Encoding', () => {
  const encoded = gzipSync('text')

  it('gzip that was not asked for is undone, and the checksum is that of the file', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving(encoded, { 'content-encoding': 'GZip', etag: '"1"' }))
    const found = await fetch(server.url('/a'), { checksum: digestBytes('text') })
    expect(fileOf(found)).toMatchObject({ text: 'text', mode: 0o600 })
    expect(await fetch(server.url('/a'))).toEqual(found)
    expect(server.requests).toHaveLength(2)
  })

  it('any other stays, as does gzip in the file itself', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving(encoded, { 'content-encoding': 'br' }))
    server.on('/b', serving(encoded, { 'content-type': 'application/gzip' }))
    for (const path of ['/a', '/b']) expect((await fetch(server.url(path))).pinned).toBe(digestBytes(encoded))
  })

  it.each([
    ['no gzip', Buffer.from('text'), 'says that it sends gzip'],
    ['half of it', encoded.subarray(0, 12), 'says that it sends gzip'],
    ['a bomb', gzipSync(Buffer.alloc(100_000)), 'larger than 50000 bytes'],
  ])('what is said to be gzip and is %s is refused, and nothing is kept', async (_, body, message) => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp({ maxBytes: 50_000 })]
    server.on('/a', serving(body, { 'content-encoding': 'gzip' }))
    await expect(fetch(server.url('/a'))).rejects.toMatchObject({
      code: 'ERR_HTTP_RESPONSE',
      message: expect.stringContaining(message),
    })
    expect(keptOf(store).paths).toEqual([])
  })
})
