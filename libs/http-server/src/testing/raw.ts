import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { type Grant, nobody } from '@tsbuild/trust'
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../server.ts'
import type { AccessEntry, Exchange, Method, Need, Route } from '../types.ts'

/** A grant for tests. */
export const somebody: Grant = { ...nobody, subject: 'token:test', id: 'test', operations: ['pull', 'push'] }

/** A route for tests that may be used by anybody, about the server. */
export function routeOf(
  method: Method,
  path: string,
  handle: (exchange: Exchange) => Promise<void>,
  needs: Need = 'public',
): Route {
  return { method, path, needs, target: () => ({ kind: 'server' }), handle }
}

/** A server for tests, listening on the loopback address. */
export interface RunningServer {
  readonly server: HttpServer
  readonly port: number
  readonly log: readonly AccessEntry[]
  readonly errors: readonly unknown[]
}

/** Starts a server that everybody may use as {@link somebody}, unless options say otherwise. */
export async function startServer(options: Partial<HttpServerOptions>): Promise<RunningServer> {
  const log: AccessEntry[] = []
  const errors: unknown[] = []
  const server = createHttpServer({
    routes: [],
    authenticate: () => somebody,
    decide: (grant) => (grant === nobody ? 'unauthenticated' : 'allowed'),
    now: Date.now,
    onRequest: (entry) => log.push(entry),
    onError: (error) => errors.push(error),
    ...options,
  })
  const address = (await server.listen({ host: '127.0.0.1', port: 0 })) as AddressInfo
  return { server, port: address.port, log, errors }
}

/** Sends bytes and gives whatever comes back until the other side closes, or `until` holds for it. */
export function sendRaw(
  port: number,
  bytes: string | Uint8Array,
  until: (answer: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port })
    let answer = ''
    const end = () => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', () => socket.write(bytes))
    socket.on('data', (part) => {
      answer += part.toString('latin1')
      if (until(answer)) end()
    })
    socket.on('close', end)
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? end() : reject(error),
    )
  })
}

/** Sends one request whose head is given line by line, and asks for the connection to be closed. */
export function requestRaw(port: number, lines: readonly string[], body = ''): Promise<string> {
  return sendRaw(port, `${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`)
}

/** The status of an answer; 0 for none. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0)
}
