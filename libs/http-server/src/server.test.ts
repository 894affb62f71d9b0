import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { EnvironmentError } from '@tsbuild/errors'
import { afterEach, describe, expect, it } from 'vitest'
import { sendBytes, sendEmpty, sendJson } from './answer.ts'
import { HttpError } from './failure.ts'
import type { HttpServerOptions } from './server.ts'
import {
  type RunningServer,
  requestRaw,
  routeOf,
  sendRaw,
  somebody,
  startServer,
  statusOf,
} from './testing/index.ts'
import type { Exchange, Route } from './types.ts'

const running: RunningServer[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map(({ server }) => server.close(0)))
})

async function start(options: Partial<HttpServerOptions>): Promise<RunningServer> {
  const one = await startServer(options)
  running.push(one)
  return one
}

const url = (port: number, path: string) => `http://127.0.0.1:${port}${path}`
const host = 'Host: localhost'
const echo = routeOf('PUT', '/echo', async (exchange) => {
  sendBytes(exchange.response, 200, await exchange.readBody(1000), {})
})
const params = routeOf('GET', '/v2/{name...}/blobs/{digest}', async ({ response, params, query }) => {
  sendJson(response, 200, { ...params, query: [...query] })
})
const uploads = routeOf('POST', '/v2/{name...}/blobs/uploads/', async ({ response, params }) => {
  sendJson(response, 202, params)
})

describe('createHttpServer() finds routes', () => {
  it('by their literal components first, and gives parameters decoded once', async () => {
    const { port } = await start({ routes: [params, uploads] })
    const got = await fetch(url(port, '/v2/a/b%2Dc/blobs/sha256%3Aab?x=1%252&x=2&y=a+b'))
    expect(await got.json()).toEqual({
      name: 'a/b-c',
      digest: 'sha256:ab',
      query: [
        ['x', '1%2'],
        ['y', 'a+b'],
      ],
    })
    const posted = await fetch(url(port, '/v2/a/blobs/uploads'), { method: 'POST' })
    expect([posted.status, await posted.json()]).toEqual([202, { name: 'a' }])
    expect((await fetch(url(port, '/v2/a/blobs/x/'))).status).toBe(404)
  })

  it('and answers HEAD as GET, without the body', async () => {
    const { port } = await start({ routes: [params] })
    const got = await fetch(url(port, '/v2/a/blobs/b'))
    const head = await fetch(url(port, '/v2/a/blobs/b'), { method: 'HEAD' })
    expect(head.headers.get('content-length')).toBe(got.headers.get('content-length'))
    expect(await head.text()).toBe('')
  })

  it('and says which methods a path has', async () => {
    const { port } = await start({ routes: [params, { ...params, method: 'DELETE' }] })
    for (const method of ['PUT', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      const answer = await requestRaw(port, [`${method} /v2/a/blobs/b HTTP/1.1`, host])
      expect(statusOf(answer)).toBe(405)
      expect(answer).toContain('Allow: DELETE, GET, HEAD')
    }
  })

  it('below its base path only', async () => {
    const seen: string[] = []
    const route = routeOf('GET', '/v2/', async ({ response, base }) => {
      seen.push(base)
      sendEmpty(response, 200)
    })
    const { port } = await start({ routes: [route], base: '/some/cache' })
    expect((await fetch(url(port, '/some/cache/v2/'))).status).toBe(200)
    expect((await fetch(url(port, '/v2/'))).status).toBe(404)
    expect((await fetch(url(port, '/some/other/v2/'))).status).toBe(404)
    expect(seen).toEqual(['/some/cache'])
  })

  it('and refuses a table that contradicts itself', async () => {
    await expect(start({ routes: [params, params] })).rejects.toThrow('Two routes are GET /v2/')
  })
})

describe('createHttpServer() asks for permission', () => {
  const needing = (needs: Route['needs'], target: Route['target']): Route => ({
    ...routeOf('GET', '/r/{name}', async ({ response }) => sendEmpty(response, 200), needs),
    target,
  })
  const repository: Route['target'] = ({ name = '' }) => ({ kind: 'repository', name })

  it('with the need and the target of the route, before the handler', async () => {
    const asked: unknown[] = []
    let decision: 'allowed' | 'hidden' | 'forbidden' | 'unauthenticated' = 'hidden'
    const { port } = await start({
      routes: [needing('delete', repository)],
      challenges: ({ url }) => [`Bearer realm="${url}"`, 'Basic realm="y"'],
      decide: (...all) => {
        asked.push(all)
        return decision
      },
    })
    const hidden = await fetch(url(port, '/r/a'))
    expect(hidden.status).toBe(404)
    expect(await hidden.json()).toEqual({
      errors: [{ code: 'NAME_UNKNOWN', message: 'there is no such repository' }],
    })
    decision = 'forbidden'
    expect((await fetch(url(port, '/r/a'))).status).toBe(403)
    decision = 'unauthenticated'
    const unauthenticated = await fetch(url(port, '/r/a'))
    expect(unauthenticated.status).toBe(401)
    expect(unauthenticated.headers.get('www-authenticate')).toBe('Bearer realm="/r/a", Basic realm="y"')
    expect(asked[0]).toEqual([somebody, 'delete', { kind: 'repository', name: 'a' }])
  })

  it('and tells a stranger nothing of which names make sense', async () => {
    const { port } = await start({
      routes: [needing('pull', () => undefined)],
      authenticate: (request) => (request.headers.authorization === undefined ? undefined : somebody),
    })
    expect((await fetch(url(port, '/r/a'))).status).toBe(401)
    expect((await fetch(url(port, '/r/a'), { headers: { authorization: 'x' } })).status).toBe(404)
  })

  it('and passes on what a handler asks besides', async () => {
    const { port } = await start({
      routes: [
        routeOf('GET', '/x', async ({ response, may }) => {
          sendJson(response, 200, may('delete', { kind: 'server' }))
        }),
      ].map((route) => ({ ...route, handle: (exchange: Exchange) => route.handle(bound(exchange)) })),
      decide: (_grant, needs) => (needs === 'delete' ? 'forbidden' : 'allowed'),
    })
    expect(await (await fetch(url(port, '/x'))).json()).toBe('forbidden')
  })
})

/** Methods of an exchange are called on it. */
const bound = (exchange: Exchange): Exchange =>
  Object.assign(Object.create(exchange), { may: exchange.may.bind(exchange) })

describe('createHttpServer() holds bodies to limits', () => {
  it('of size, announced or not, and the answer reaches a client that goes on sending', async () => {
    const { port } = await start({ routes: [echo] })
    const announced = await requestRaw(
      port,
      ['PUT /echo HTTP/1.1', host, 'Content-Length: 1001'],
      'x'.repeat(1001),
    )
    expect(statusOf(announced)).toBe(413)
    const chunk = `3e8\r\n${'x'.repeat(1000)}\r\n`
    const chunked = await sendRaw(
      port,
      `PUT /echo HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(2000)}0\r\n\r\n`,
    )
    expect(statusOf(chunked)).toBe(413)
    expect(chunked).toMatch(/connection: close/i)
  })

  it('of time: nothing comes, or next to nothing', async () => {
    const { port } = await start({ routes: [echo], limits: { idleMs: 100, lingerMs: 20 } })
    const head = ['PUT /echo HTTP/1.1', host, 'Content-Length: 1000']
    expect(statusOf(await sendRaw(port, `${head.join('\r\n')}\r\n\r\nabc`))).toBe(408)
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket
      .on('error', () => {})
      .on('data', (part) => {
        answer += part
      })
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    for (let sent = 0; sent < 900 && answer === ''; sent += 1) {
      socket.write('x')
      await delay(20)
    }
    socket.destroy()
    expect(statusOf(answer)).toBe(408)
  })

  it('and does not take the time that the handler takes for the client’s', async () => {
    const slow = routeOf('PUT', '/slow', async (exchange) => {
      let size = 0
      for await (const part of exchange.body(1e9)) {
        size += part.length
        await delay(30)
      }
      sendJson(exchange.response, 200, size)
    })
    const { port } = await start({ routes: [slow], limits: { idleMs: 200, bodyPace: 1e12 } })
    const answer = await fetch(url(port, '/slow'), { method: 'PUT', body: Buffer.alloc(2_000_000) })
    expect(await answer.json()).toBe(2_000_000)
  })

  it('and says `100 Continue` only when somebody wants the body', async () => {
    const refused = routeOf('PUT', '/no', async () => {
      throw new HttpError(409, 'UNSUPPORTED', 'no')
    })
    const { port } = await start({ routes: [echo, refused] })
    const head = (path: string) =>
      `PUT ${path} HTTP/1.1\r\n${host}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n`
    expect(await sendRaw(port, head('/no'))).toMatch(/^HTTP\/1\.1 409 /)
    const taken = await sendRaw(port, `${head('/echo')}abc`, (answer) => answer.endsWith('abc'))
    expect(taken).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
    const other = ['PUT /echo HTTP/1.1', host, 'Expect: a-pony', 'Content-Length: 3']
    expect(statusOf(await requestRaw(port, other, 'abc'))).toBe(417)
  })

  it('and keeps the connection when the body was read', async () => {
    const { port } = await start({ routes: [echo] })
    const one = `PUT /echo HTTP/1.1\r\n${host}\r\nContent-Length: 3\r\n\r\nabc`
    const answer = await sendRaw(port, one + one, (text) => text.split('HTTP/1.1 200').length === 3)
    expect(answer).not.toMatch(/connection: close/i)
  })
})

describe('createHttpServer() holds clients to limits', () => {
  it('of headers: their time, size and number', async () => {
    const { port } = await start({ routes: [params], limits: { headersMs: 100, headerCount: 10 } })
    expect(statusOf(await sendRaw(port, 'GET /v2/a/blobs/b HTTP/1.1\r\nHost: x\r\nA: '))).toBe(408)
    const line = 'GET /v2/a/blobs/b HTTP/1.1'
    expect(statusOf(await requestRaw(port, [line, host, `A: ${'x'.repeat(20_000)}`]))).toBe(431)
    const many = Array.from({ length: 12 }, (_, index) => `A-${index}: x`)
    expect(statusOf(await requestRaw(port, [line, host, ...many]))).toBe(431)
  })

  it('of requests at one time: 503 for all, 429 for one grant', async () => {
    const waiting: (() => void)[] = []
    const wait = routeOf('GET', '/wait', async ({ response }) => {
      await new Promise<void>((resolve) => waiting.push(resolve))
      sendEmpty(response, 200)
    })
    const { port } = await start({
      routes: [wait],
      authenticate: (request) => ({ ...somebody, id: request.headers.authorization ?? '' }),
      limits: { inFlight: 3, inFlightPerGrant: 2 },
    })
    const as = (id: string) => fetch(url(port, '/wait'), { headers: { authorization: id } })
    const held = [as('a'), as('a')]
    while (waiting.length < 2) await delay(1)
    const refused = await as('a')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    held.push(as('b'))
    while (waiting.length < 3) await delay(1)
    const busy = await as('c')
    expect([busy.status, busy.headers.get('retry-after')]).toEqual([503, '1'])
    for (const go of waiting) go()
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200])
    const later = as('a')
    while (waiting.length < 4) await delay(1)
    waiting[3]?.()
    expect((await later).status).toBe(200)
  })

  it('of strangers: as many as are slow with a body keep nobody from asking how the server is', async () => {
    const taken = { ...echo, method: 'POST' as const, needs: 'public' as const }
    const health = { ...routeOf('GET', '/health', async ({ response }) => sendEmpty(response, 200)) }
    const { port, server } = await start({
      routes: [taken, { ...health, needs: 'public' }],
      authenticate: () => undefined,
      limits: { inFlightPerGrant: 1 },
    })
    const slow = connect(port, '127.0.0.1')
    slow.write(`POST /echo HTTP/1.1\r\n${host}\r\nContent-Length: 10\r\n\r\n`)
    while (server.load().inFlight < 1) await delay(1)
    expect((await fetch(url(port, '/echo'), { method: 'POST', body: 'x' })).status).toBe(429)
    expect((await fetch(url(port, '/health'))).status).toBe(200)
    slow.destroy()
  })

  it('of connections: one more is told 503', async () => {
    const { port, server } = await start({ routes: [params], limits: { connections: 2 } })
    const held = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
    while (server.load().connections < 2) await delay(1)
    expect(await sendRaw(port, '')).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After: 1/)
    for (const socket of held) socket.destroy()
  })

  it('and ends one that takes nothing of its answer', async () => {
    let done: unknown
    const endless = routeOf('GET', '/endless', async ({ response, signal }) => {
      response.writeHead(200)
      while (!signal.aborted) {
        if (!response.write(Buffer.alloc(1 << 20))) {
          await new Promise<void>((resolve) => {
            response.once('drain', resolve)
            signal.addEventListener('abort', () => resolve())
          })
        }
      }
      done = true
    })
    const { port } = await start({ routes: [endless], limits: { idleMs: 100 } })
    const socket = connect(port, '127.0.0.1')
    socket.pause()
    socket.on('error', () => {})
    socket.write(`GET /endless HTTP/1.1\r\n${host}\r\n\r\n`)
    while (done === undefined) await delay(5)
    socket.destroy()
  })
})

describe('createHttpServer() answers failures', () => {
  it('of handlers as the distribution specification has it, and hides what nobody expected', async () => {
    const secret = new Error('secret /etc/passwd')
    const routes = [
      routeOf('GET', '/expected', async () => {
        throw new HttpError(404, 'BLOB_UNKNOWN', 'no', { detail: { digest: 'x' } })
      }),
      routeOf('GET', '/full', async () => {
        throw new EnvironmentError('ERR_STORE_NO_SPACE', 'Cannot write: no room')
      }),
      routeOf('GET', '/bug', async () => {
        throw secret
      }),
      routeOf('GET', '/silent', async () => {}),
    ]
    const { port, errors, log } = await start({ routes })
    const expected = await fetch(url(port, '/expected'))
    expect([expected.status, await expected.json()]).toEqual([
      404,
      { errors: [{ code: 'BLOB_UNKNOWN', message: 'no', detail: { digest: 'x' } }] },
    ])
    expect((await fetch(url(port, '/full'))).status).toBe(507)
    const bug = await fetch(url(port, '/bug'))
    expect([bug.status, (await bug.text()).includes('secret')]).toEqual([500, false])
    expect((await fetch(url(port, '/silent'))).status).toBe(500)
    expect(errors[0]).toBe(secret)
    expect(errors).toHaveLength(2)
    expect(log.map((entry) => entry.failure)).toEqual(['BLOB_UNKNOWN', 'UNAVAILABLE', 'UNKNOWN', 'UNKNOWN'])
  })

  it.each(['EMFILE', 'ENFILE'])('of too many open files (%s) as what passes', async (code) => {
    const open = routeOf('GET', '/open', async () => {
      throw Object.assign(new Error(`${code}: too many open files, open '/secret'`), {
        code,
        syscall: 'open',
      })
    })
    const { port } = await start({ routes: [open] })
    const response = await fetch(url(port, '/open'))
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await response.text()).not.toContain('secret')
  })

  it('of an answer that was begun by ending the connection', async () => {
    const half = routeOf('GET', '/half', async ({ response }) => {
      response.writeHead(200, { 'Content-Length': 100 })
      response.write('abc')
      throw new Error('later')
    })
    const { port } = await start({ routes: [half] })
    const answer = fetch(url(port, '/half')).then((got) => got.text())
    await expect(answer).rejects.toThrow()
  })
})

describe('createHttpServer() tells its log', () => {
  it('one entry for a request, without control characters and the query', async () => {
    const { port, log } = await start({ routes: [echo], now: () => 5 })
    await requestRaw(
      port,
      ['PUT /echo?_state=secret HTTP/1.1', host, 'User-Agent: a\x9bb', 'Content-Length: 3'],
      'abc',
    )
    while (log.length === 0) await delay(1)
    expect(log).toEqual([
      {
        at: 5,
        durationMs: 0,
        remote: '127.0.0.1',
        method: 'PUT',
        path: '/echo',
        route: 'PUT /echo',
        status: 200,
        complete: true,
        bytesIn: 3,
        bytesOut: expect.any(Number),
        subject: 'token:test',
        grantId: 'test',
        account: 'test',
        userAgent: 'aÂ\\x9bb',
        failure: undefined,
      },
    ])
  })

  it('499 where the client had gone, and stops the handler', async () => {
    let stopped = false
    const wait = routeOf('GET', '/wait', async ({ signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      stopped = true
      throw new Error('gone')
    })
    const { port, log, errors, server } = await start({ routes: [wait] })
    const request = httpRequest(url(port, '/wait')).on('error', () => {})
    request.end()
    while (server.load().inFlight === 0) await delay(1)
    request.destroy()
    while (log.length === 0 || !stopped) await delay(1)
    expect(log[0]).toMatchObject({ status: 499, complete: false })
    expect(errors).toEqual([])
  })
})

describe('close()', () => {
  it('lets what is under way end, on connections that end with it, and takes nothing new', async () => {
    const waiting: (() => void)[] = []
    const wait = routeOf('GET', '/wait', async ({ response }) => {
      await new Promise<void>((resolve) => waiting.push(resolve))
      sendEmpty(response, 200)
    })
    const { port, server } = await start({ routes: [wait] })
    const answer = fetch(url(port, '/wait'))
    while (waiting.length === 0) await delay(1)
    const closed = server.close(20_000)
    await expect(fetch(url(port, '/wait'))).rejects.toThrow()
    waiting[0]?.()
    const got = await answer
    expect([got.status, got.headers.get('connection')]).toEqual([200, 'close'])
    await closed
    expect(server.load()).toEqual({ connections: 0, inFlight: 0 })
  })

  it('ends what does not end', async () => {
    const never = routeOf('GET', '/never', async ({ signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      throw new Error('ended')
    })
    const { port, server } = await start({ routes: [never] })
    const answer = fetch(url(port, '/never')).catch(() => 'broken')
    while (server.load().inFlight === 0) await delay(1)
    await server.close(10)
    expect(await answer).toBe('broken')
  })
})
