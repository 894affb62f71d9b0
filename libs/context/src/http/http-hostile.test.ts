import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fileOf, keptOf, setUp } from '../testing/http-set-up.ts'

/** A server that answers each request with these bytes, whether HTTP allows them or not. */
async function startRawServer(answer: (nth: number, request: string) => Buffer | string) {
  const requests: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      requests.push(data.toString('latin1'))
      socket.end(answer(requests.length - 1, data.toString('latin1')))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a` }
}

const ok = (headers: string, body = 'text') =>
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${headers}\r\n\r\n${body}`, 'latin1')

describe('an ETag that cannot be sent back', () => {
  it.each([
    ['bytes of UTF-8', '"\xe2\x82\xac"'],
    ['Latin-1', '"\xe9"'],
    ['no quotes, and blanks', 'a b'],
    ['12 kB', `"${'x'.repeat(12_000)}"`],
    ['weak', 'W/"\xe2\x82\xac"'],
    ['empty', ''],
  ])('keeps nobody from asking again: %s', async (_, etag) => {
    const server = await startRawServer(() => ok(`ETag: ${etag}`))
    const { fetch } = await setUp({ retry: { attempts: 1 } })
    expect(fileOf(await fetch(server.url)).text).toBe('text')
    expect(fileOf(await fetch(server.url)).text).toBe('text')
    expect(server.requests).toHaveLength(2)
  })
})

describe('an answer that never ends', () => {
  it('is refused when it has more bytes than are fetched', async () => {
    const body = 'x'.repeat(100_000)
    const server = await startRawServer(() => `HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${body}`)
    const { fetch, store } = await setUp({ retry: { attempts: 1 }, maxBytes: 1000 })
    await expect(fetch(server.url)).rejects.toMatchObject({ code: 'ERR_HTTP_RESPONSE' })
    expect(keptOf(store).paths).toEqual([])
  })

  it('is refused when its headers are too long', async () => {
    const server = await startRawServer(() => ok(`X: ${'x'.repeat(1_000_000)}`))
    const { fetch } = await setUp({ retry: { attempts: 1 } })
    await expect(fetch(server.url)).rejects.toMatchObject({ code: 'ERR_HTTP_UNREACHABLE' })
  })
})

describe('a URL with line breaks', () => {
  it('sends no header of its own', async () => {
    const server = await startRawServer(() => ok('X: y'))
    const { fetch } = await setUp({ retry: { attempts: 1 } })
    await fetch(`${server.url}?q=\r\nX-Evil:%201\r\n\r\nGET /b HTTP/1.1`)
    await fetch(`${server.url}%0d%0aX-Evil:%201`)
    expect(server.requests).toHaveLength(2)
    expect(server.requests.join('')).not.toMatch(/^X-Evil/m)
  })
})
