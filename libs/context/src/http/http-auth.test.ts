import { describe, expect, it } from 'vitest'
import { serving, startFileServer } from '../testing/file-server.ts'
import { fileOf, keptOf, setUp } from '../testing/http-set-up.ts'

const tokenId = 'HTTP_AUTH_TOKEN_127.0.0.1'
const headerId = 'HTTP_AUTH_HEADER_127.0.0.1'
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

/** A server that says with the body who asked. */
async function startEcho(headers: Readonly<Record<string, string>> = {}) {
  const server = await startFileServer()
  server.on('/a', (nth, request, response) => {
    const who = request.headers.authorization ?? 'nobody'
    serving(`for ${who}`, headers)(nth, request, response)
  })
  return server
}

describe('auth: secrets HTTP_AUTH_HEADER_<host> / HTTP_AUTH_TOKEN_<host>', () => {
  it.each([
    ['a token', { [tokenId]: 'CANARY' }, 'Bearer CANARY'],
    ['a token in a file with a line break', { [tokenId]: 'CANARY\n' }, 'Bearer CANARY'],
    ['a header', { [headerId]: 'Basic CANARY' }, 'Basic CANARY'],
    ['a token before a header', { [headerId]: 'Basic x', [tokenId]: 'CANARY' }, 'Bearer CANARY'],
    ['none for another host', { HTTP_AUTH_TOKEN_localhost: 'CANARY' }, undefined],
    ['none with a port', { 'HTTP_AUTH_TOKEN_127.0.0.1:80': 'CANARY' }, undefined],
  ])('%s', async (_, secrets, authorization) => {
    const [server, { fetch, store }] = [await startEcho(), await setUp({ secrets })]
    await fetch(server.url('/a'))
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([authorization])
    // The body is all that may have it: this server wrote it there.
    const others = keptOf(store).text.replaceAll(`for ${authorization}`, '')
    expect(others).not.toContain('CANARY')
  })

  it('user info of the URL is Basic, is not shown and not stored, and gives way to a secret', async () => {
    const server = await startFileServer()
    server.on('/a', serving('text'))
    const url = server.url('/a').replace('//', '//user:CANARY%21@')
    const [plain, withToken] = [await setUp(), await setUp({ secrets: { [tokenId]: 'token' } })]
    const found = await plain.fetch(url)
    await withToken.fetch(url)
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      basic('user:CANARY!'),
      'Bearer token',
    ])
    expect(found.shown).toBe(server.url('/a'))
    for (const secret of ['CANARY', basic('user:CANARY!').slice(6), 'user'])
      expect(keptOf(plain.store).text).not.toContain(secret)
  })

  it.each(['two\nlines', '', ' \n', 'ünï', 'null\0'])(
    'the secret %j cannot be sent, and is not shown',
    async (value) => {
      const [server, { fetch }] = [await startEcho(), await setUp({ secrets: { [tokenId]: value } })]
      const error: unknown = await fetch(server.url('/a')).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ kind: 'user', code: 'ERR_SECRET' })
      expect(String(error)).toContain(tokenId)
      if (value.trim() !== '') expect(String(error)).not.toContain(value.slice(0, 3))
      expect(server.requests).toEqual([])
    },
  )

  it.each([
    [{}, `Give a token as the secret \`${tokenId}\`, or a whole header as \`${headerId}\`.`],
    [{ [tokenId]: 'CANARY' }, 'Check the credential for 127.0.0.1.'],
  ])('a server that refuses %j is an error that says what to do and no secret', async (secrets, hint) => {
    const [server, { fetch }] = [await startFileServer(), await setUp({ secrets })]
    server.on('/a', (_nth, _request, response) => response.writeHead(401).end('your token is CANARY'))
    const error = await fetch(server.url('/a')).catch((caught: Error) => caught)
    expect(error).toMatchObject({ code: 'ERR_HTTP_STATUS', hints: [hint] })
    expect(JSON.stringify(error) + String(error)).not.toContain('CANARY')
  })

  it('with a checksum and the bytes at hand no secret is read', async () => {
    const server = await startFileServer()
    server.on('/a', serving('text'))
    const first = await setUp()
    const { pinned } = await first.fetch(server.url('/a'))
    const secrets = () => expect.unreachable('a secret was read')
    const store = first.store
    const { createHttpSources } = await import('./http-sources.ts')
    const transport = { send: () => expect.unreachable('a request'), close: async () => {} }
    const sources = createHttpSources({ store, transport, secrets, now: () => 0 })
    const { parseDigest } = await import('@tsbuild/digest')
    const source = { url: server.url('/a'), filename: 'file', checksum: parseDigest(pinned) }
    expect((await sources.http(source, { signal: new AbortController().signal })).pinned).toBe(pinned)
  })
})

describe('what was fetched with one credential', () => {
  const headers = { etag: '"the same for all"', 'last-modified': 'Sun, 06 Nov 1994 08:49:37 GMT' }

  it('is asked for again with the same one by its ETag', async () => {
    const [server, { fetch }] = [await startEcho(headers), await setUp({ secrets: { [tokenId]: 'a' } })]
    const found = await fetch(server.url('/a'))
    expect(await fetch(server.url('/a'))).toEqual(found)
    expect(server.requests[1]?.headers['if-none-match']).toBe(headers.etag)
  })

  it.each<[string, Record<string, string>, Record<string, string>, string]>([
    ['another', { [tokenId]: 'a' }, { [tokenId]: 'b' }, 'for Bearer b'],
    ['none', { [tokenId]: 'a' }, {}, 'for nobody'],
    ['one where there was none', {}, { [tokenId]: 'b' }, 'for Bearer b'],
  ])('is not taken for what is shown to %s', async (_, before, after, text) => {
    const [server, first] = [await startEcho(headers), await setUp({ secrets: before })]
    await first.fetch(server.url('/a'))
    const second = await setUp({ root: first.root, secrets: after })
    expect(fileOf(await second.fetch(server.url('/a'))).text).toBe(text)
    expect(server.requests[1]?.headers['if-none-match']).toBeUndefined()
    expect(server.requests[1]?.headers['if-modified-since']).toBeUndefined()
  })
})

describe('http redirects', () => {
  const to =
    (location: string, code = 302) =>
    (_nth: number, _request: unknown, response: import('node:http').ServerResponse) =>
      response.writeHead(code, { location }).end()

  it.each([301, 302, 303, 307, 308])('are followed: %d', async (code) => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', to('b?x', code))
    server.on('/b?x', serving('text'))
    const found = await fetch(server.url('/a'), { filename: 'a' })
    expect(fileOf(found)).toMatchObject({ names: ['a'], text: 'text' })
    expect(found.shown).toBe(server.url('/a'))
  })

  it('revalidation goes through them too', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', to('/b'))
    server.on('/b', serving('text', { etag: '"1"' }))
    const found = await fetch(server.url('/a'))
    expect(await fetch(server.url('/a'))).toEqual(found)
    expect(server.requests.at(-1)).toMatchObject({ path: '/b', headers: { 'if-none-match': '"1"' } })
  })

  it('within one server keep the credential; from another on it is gone, also on the way back', async () => {
    const [here, there] = [await startFileServer(), await startFileServer()]
    const { fetch } = await setUp({ secrets: { [tokenId]: 'CANARY' } })
    here.on('/a', to('/b'))
    here.on('/b', to(there.url('/c')))
    there.on('/c', to(here.url('/d')))
    here.on('/d', serving('text'))
    await fetch(here.url('/a'))
    const seen = [...here.requests, ...there.requests].map(({ path, headers }) => [
      path,
      headers.authorization,
    ])
    expect(seen).toEqual([
      ['/a', 'Bearer CANARY'],
      ['/b', 'Bearer CANARY'],
      ['/d', undefined],
      ['/c', undefined],
    ])
  })

  it('more than ten are an error', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    for (let hop = 0; hop < 11; hop++) server.on(`/${hop}`, to(`/${hop + 1}`))
    server.on('/11', serving('text'))
    await expect(fetch(server.url('/0'))).rejects.toMatchObject({
      code: 'ERR_HTTP_RESPONSE',
      message: expect.stringContaining('more than 10 times'),
    })
    expect(fileOf(await fetch(server.url('/1'))).text).toBe('text')
  })

  const lookup: Parameters<typeof setUp>[0] extends { lookup?: infer L } | undefined ? L : never = (
    _name,
    { all },
    callback,
  ) => (all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4))

  it('from elsewhere do not lead to this machine or its metadata service, by address or by name', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp({ lookup })]
    const port = server.host.split(':')[1]
    const targets = [
      `http://127.0.0.1:${port}/secret`,
      `http://localhost:${port}/secret`,
      `http://[::1]:${port}/secret`,
      'http://169.254.169.254/latest/meta-data',
      'http://0x7f000001/secret',
      `http://rebound.example:${port}/secret`,
    ]
    server.on('/secret', serving('secret'))
    for (const target of targets) {
      server.on('/a', to(target))
      await expect(fetch(`http://files.example:${port}/a`), target).rejects.toMatchObject({
        code: 'ERR_HTTP_RESPONSE',
        message: expect.stringContaining('an address of this machine'),
      })
    }
    expect(server.requests.filter(({ path }) => path === '/secret')).toEqual([])
  })
})
