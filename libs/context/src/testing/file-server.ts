import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** Answers one request; the first argument says how often its path was asked for before. */
export type Handler = (nth: number, request: IncomingMessage, response: ServerResponse) => void

/** A request as it arrived. */
export interface SeenRequest {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingMessage['headers']
}

/** A server on loopback that says what it was asked. */
export interface FileServer {
  /** `127.0.0.1:<port>` */
  readonly host: string
  url(path: string): string
  readonly requests: readonly SeenRequest[]
  on(path: string, handler: Handler): void
}

/** Starts a server that is stopped when the test ends; unknown paths are 404. */
export async function startFileServer(): Promise<FileServer> {
  const handlers = new Map<string, Handler>()
  const requests: SeenRequest[] = []
  const server = createServer((request, response) => {
    const { method, url: path, headers } = request
    const nth = requests.filter((seen) => seen.path === path).length
    requests.push({ method, path, headers })
    const handler = handlers.get(path ?? '')
    if (handler === undefined) response.writeHead(404).end('nothing here')
    else handler(nth, request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    url: (path) => `http://${host}${path}`,
    requests,
    on: (path, handler) => handlers.set(path, handler),
  }
}

/** Serves a body with headers, and 304 to whoever knows its ETag or its Last-Modified. */
export function serving(body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Handler {
  return (_nth, request, response) => {
    const knowsTag = headers.etag !== undefined && request.headers['if-none-match'] === headers.etag
    const knowsTime =
      headers['last-modified'] !== undefined &&
      request.headers['if-modified-since'] === headers['last-modified']
    if (knowsTag || knowsTime) response.writeHead(304, headers).end()
    else response.writeHead(200, { 'content-length': Buffer.byteLength(body), ...headers }).end(body)
  }
}

/** Serves a body, cut after so many bytes the first `cuts` times; ranges are served where the condition holds. */
export function servingInPieces(
  body: Buffer,
  options: { readonly cuts: number; readonly pieceBytes: number; readonly headers: Record<string, string> },
): Handler {
  return (nth, request, response) => {
    const [, from = '0'] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? []
    const holds = request.headers['if-range'] === options.headers.etag
    const start = holds ? Number(from) : 0
    const rest = body.subarray(start)
    const range = { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` }
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': rest.length,
      ...options.headers,
      ...(start > 0 ? range : {}),
    })
    if (nth >= options.cuts) response.end(rest)
    else response.write(rest.subarray(0, options.pieceBytes), () => response.destroy())
  }
}
