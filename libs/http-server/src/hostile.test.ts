import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sendEmpty, sendJson } from './answer.ts'
import { type RunningServer, requestRaw, routeOf, sendRaw, startServer, statusOf } from './testing/index.ts'

/** What handlers were called with: nothing that is refused gets as far. */
const handled: string[] = []
let one: RunningServer
beforeAll(async () => {
  const note = routeOf('GET', '/r/{name...}/x/{id}', async ({ response, params }) => {
    handled.push(`${params.name} ${params.id}`)
    sendJson(response, 200, params)
  })
  const take = routeOf('POST', '/take', async (exchange) => {
    const body = await exchange.readBody(1 << 20)
    handled.push(`body ${body.length}`)
    sendEmpty(exchange.response, 200)
  })
  one = await startServer({ routes: [note, take], limits: { headersMs: 60_000, connections: 4000 } })
})
afterAll(async () => {
  await one.server.close(0)
  expect(one.errors).toEqual([])
})

/** Request targets and what comes of them, all over a raw socket: a URL parser would tidy them up first. */
const targets: readonly (readonly [string, number | string])[] = [
  ['/r/a/x/b', 'a b'],
  ['/r/a/b/c/x/d', 'a/b/c d'],
  ['/r/%61/x/b', 'a b'],
  ['/r/a/x/%2561', 'a %61'],
  ['/r/a/x/%252e%252e%252f', 'a %2e%2e%2f'],
  ['/r/../x/b', 400],
  ['/r/a/../../x/b', 400],
  ['/r/./x/b', 400],
  ['/r/%2e/x/b', 400],
  ['/r/%2e%2e/x/b', 400],
  ['/r/%2E%2E/x/b', 400],
  ['/r/.%2e/x/b', 400],
  ['/r/%2e./x/b', 400],
  ['/r/a%2f..%2fb/x/c', 400],
  ['/r/a%2Fb/x/c', 400],
  ['/r/%2e%2e%2f%2e%2e%2fetc%2fpasswd/x/b', 400],
  ['/r/..%2f..%2f..%2fetc%2fpasswd/x/b', 400],
  ['/r/a%5c..%5cb/x/c', 400],
  ['/r/..%5c..%5cetc/x/b', 400],
  ['/r/a\\..\\b/x/c', 400],
  ['\\r\\a\\x\\b', 400],
  ['/r\\a/x/b', 400],
  ['/r/a%00/x/b', 400],
  ['/r/a%00.txt/x/b', 400],
  ['/r/a/x/b%0a', 400],
  ['/r/a/x/b%0d%0aSet-Cookie:%20a=b', 400],
  ['/r/a/x/%1b[31m', 400],
  ['/r/a/x/%7f', 400],
  ['/r/a/x/%c2%85', 400],
  ['/r/%c0%ae%c0%ae/x/b', 400],
  ['/r/%c0%af/x/b', 400],
  ['/r/%e0%80%ae/x/b', 400],
  ['/r/%f0%80%80%ae/x/b', 400],
  ['/r/%e0%80%af/x/b', 400],
  ['/r/%ff/x/b', 400],
  ['/r/%ed%a0%80/x/b', 400],
  ['/r/%u002e%u002e/x/b', 400],
  ['/r/%/x/b', 400],
  ['/r/%2/x/b', 400],
  ['/r/%zz/x/b', 400],
  ['//r/a/x/b', 400],
  ['/r//a/x/b', 400],
  ['/r/a//x/b', 400],
  ['/r/a/x//b', 400],
  ['/r/a/x/b/', 404],
  ['/r/a/x/', 404],
  ['/r/x/b', 404],
  ['/R/a/x/b', 404],
  ['/r/a/X/b', 404],
  ['/', 404],
  ['/etc/passwd', 404],
  ['/....//....//etc/passwd', 400],
  ['/..;/r/a/x/b', 404],
  ['/r/a/x/b;/../c', 400],
  ['/static/../../../../etc/passwd', 400],
  ['http://localhost/r/a/x/b', 400],
  ['http://other.example/r/a/x/b', 400],
  ['https://localhost/r/a/x/b', 400],
  ['file:///etc/passwd', 400],
  ['localhost:80', 400],
  ['*', 400],
  ['?a=b', 400],
  ['/r/a/x/b#c', 400],
  ['/r/a/x/b?c=%zz', 400],
  ['/r/a/x/b?c=%00', 400],
  ['/r/a/x/b?c=%0d%0a', 400],
  ['/r/a/x/b?%2e%2e/%2e%2e', 'a b'],
  ['/r/a/x/{id}', 400],
  ['/r/a/x/<script>', 400],
  ['/r/a/x/"b"', 400],
  ['/r/a/x/b|c', 400],
  ['/r/a/x/b`c`', 400],
  ['/r/a/x/\xc3\xa9', 400],
  ['/r/%c3%a9/x/b', 'é b'],
  ['/r/__proto__/x/constructor', '__proto__ constructor'],
  [`/r/${'a/'.repeat(1500)}x/b`, `${'a/'.repeat(1499)}a b`],
  [`/r/${'a'.repeat(5000)}/x/b`, 414],
  [`/r/a/x/${'%41'.repeat(3000)}`, 414],
  [`/r/${'a'.repeat(40_000)}/x/b`, 431],
]

describe('a request target', () => {
  it.each(targets)('%s is answered %s', async (target, expected) => {
    handled.length = 0
    const answer = await sendRaw(
      one.port,
      Buffer.from(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 'latin1'),
    )
    if (typeof expected === 'string') {
      expect([statusOf(answer), ...handled]).toEqual([200, expected])
    } else {
      expect([statusOf(answer), ...handled]).toEqual([expected])
      expect(answer).not.toContain('root:x:0')
    }
  })
})

const line = 'POST /take HTTP/1.1\r\n'
const host = 'Host: localhost\r\n'
const smuggled = 'GET /r/smuggled/x/1 HTTP/1.1\r\nHost: localhost\r\n\r\n'
const chunk = '5\r\nhello\r\n0\r\n\r\n'

/** Requests of which two programs could see different ends. None may be answered but by one refusal. */
const ambiguous: readonly (readonly [string, string])[] = [
  [
    'a length and chunks',
    `${line}${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${smuggled}`,
  ],
  [
    'chunks and a length',
    `${line}${host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${chunk}${smuggled}`,
  ],
  ['two lengths', `${line}${host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello${smuggled}`],
  ['one length twice', `${line}${host}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello${smuggled}`],
  ['a list of lengths', `${line}${host}Content-Length: 5, 5\r\n\r\nhello${smuggled}`],
  ['a negative length', `${line}${host}Content-Length: -5\r\n\r\nhello${smuggled}`],
  ['a signed length', `${line}${host}Content-Length: +5\r\n\r\nhello${smuggled}`],
  ['a hexadecimal length', `${line}${host}Content-Length: 0x5\r\n\r\nhello${smuggled}`],
  ['a length of too many digits', `${line}${host}Content-Length: 99999999999999999999\r\n\r\nhello`],
  ['a coding before the chunks', `${line}${host}Transfer-Encoding: gzip, chunked\r\n\r\n${chunk}${smuggled}`],
  [
    'a coding after the chunks',
    `${line}${host}Transfer-Encoding: chunked, identity\r\n\r\n${chunk}${smuggled}`,
  ],
  ['an unknown coding', `${line}${host}Transfer-Encoding: xchunked\r\n\r\n${chunk}${smuggled}`],
  [
    'two codings',
    `${line}${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${smuggled}`,
  ],
  ['a space before the colon', `${line}${host}Transfer-Encoding : chunked\r\n\r\n${chunk}${smuggled}`],
  ['a folded header', `${line}${host}Transfer-Encoding:\r\n chunked\r\n\r\n${chunk}${smuggled}`],
  [
    'chunks in HTTP/1.0',
    `POST /take HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n${chunk}${smuggled}`,
  ],
  [
    'a chunk of a wrong size',
    `${line}${host}Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n${smuggled}`,
  ],
  ['a negative chunk', `${line}${host}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n${smuggled}`],
  [
    'lines that end with a line feed',
    `POST /take HTTP/1.1\nHost: localhost\nContent-Length: 5\n\nhello${smuggled}`,
  ],
  ['no Host', `${line}Content-Length: 5\r\n\r\nhello${smuggled}`],
  ['two Hosts', `${line}${host}Host: other.example\r\nContent-Length: 5\r\n\r\nhello${smuggled}`],
  ['a Host with a path', `${line}Host: localhost/r/a\r\nContent-Length: 5\r\n\r\nhello${smuggled}`],
  ['a Host of a user', `${line}Host: a@localhost\r\nContent-Length: 5\r\n\r\nhello${smuggled}`],
  ['a NUL in a header', `${line}${host}X: a\0b\r\nContent-Length: 5\r\n\r\nhello${smuggled}`],
  [
    'a carriage return in a header',
    `${line}${host}X: a\rTransfer-Encoding: chunked\r\n\r\n${chunk}${smuggled}`,
  ],
  ['two targets', `GET /r/a/x/b /r/c/x/d HTTP/1.1\r\n${host}\r\n`],
  ['HTTP/9', `GET /r/a/x/b HTTP/9.9\r\n${host}\r\n`],
  ['a method of its own', `GET\t/r/a/x/b HTTP/1.1\r\n${host}\r\n`],
]

describe('an ambiguous request', () => {
  it.each(ambiguous)('with %s is refused, and nothing after it is read', async (_name, bytes) => {
    handled.length = 0
    const answer = await sendRaw(one.port, bytes)
    expect(statusOf(answer)).toBe(400)
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    expect(handled).toEqual([])
  })

  it('with a body that is packed is not unpacked', async () => {
    const body = gzipSync(Buffer.alloc(1 << 20)).toString('latin1')
    const head = [
      'POST /take HTTP/1.1',
      'Host: localhost',
      'Content-Encoding: gzip',
      `Content-Length: ${body.length}`,
    ]
    expect(
      statusOf(await sendRaw(one.port, Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1'))),
    ).toBe(415)
  })

  it('of a page of another site is refused', async () => {
    const get = (...headers: string[]) =>
      requestRaw(one.port, ['GET /r/a/x/b HTTP/1.1', 'Host: localhost:1', ...headers])
    expect(statusOf(await get('Sec-Fetch-Site: cross-site'))).toBe(403)
    expect(statusOf(await get('Sec-Fetch-Site: same-site'))).toBe(403)
    expect(statusOf(await get('Origin: https://evil.example'))).toBe(403)
    expect(statusOf(await get('Origin: null'))).toBe(403)
    expect(statusOf(await get('Origin: http://localhost:1'))).toBe(200)
    expect(statusOf(await get('Sec-Fetch-Site: none'))).toBe(200)
  })

  it('for another name is refused where names are known', async () => {
    const named = await startServer({ routes: [], hosts: ['localhost', '[::1]'] })
    const get = async (name: string) =>
      statusOf(await requestRaw(named.port, ['GET /x HTTP/1.1', `Host: ${name}`]))
    expect([await get('localhost'), await get('LOCALHOST:80'), await get('[::1]:80')]).toEqual([
      404, 404, 404,
    ])
    expect([await get('evil.example'), await get('localhost.evil.example')]).toEqual([421, 421])
    await named.server.close(0)
  })
})

describe('a thousand slow clients', () => {
  it('do not keep others from being answered', async () => {
    const slow: Socket[] = []
    const parts = [
      'GET /r/a/x/b HTTP/1.1\r\nHost: loc',
      'POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc',
      'POST /take HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe',
      '',
    ]
    for (let index = 0; index < 1000; index += 1) {
      const socket = connect(one.port, '127.0.0.1')
      socket.on('error', () => {}).on('connect', () => socket.write(parts[index % parts.length] ?? ''))
      slow.push(socket)
    }
    while (one.server.load().connections < 1000) await delay(5)
    handled.length = 0
    for (let count = 0; count < 20; count += 1) {
      const answer = await requestRaw(one.port, ['GET /r/a/x/b HTTP/1.1', 'Host: localhost'])
      expect(statusOf(answer)).toBe(200)
    }
    expect(handled).toEqual(Array.from({ length: 20 }, () => 'a b'))
    for (const socket of slow) socket.destroy()
    while (one.server.load().connections > 0) await delay(5)
    expect(one.server.load()).toEqual({ connections: 0, inFlight: 0 })
  })
})
