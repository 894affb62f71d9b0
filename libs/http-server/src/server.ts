import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, ListenOptions, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { accountOf, nobody } from '@tsbuild/trust'
import { failureBody, sendFailure } from './answer.ts'
import { RequestUnderWay } from './exchange.ts'
import { failureOf, HttpError } from './failure.ts'
import { checkHead } from './head.ts'
import { defaultLimits } from './limits.ts'
import { admit, type Permission } from './permission.ts'
import { parseTarget } from './raw-target.ts'
import { createRouter } from './router.ts'
import type { AccessEntry, Authenticate, Decide, HttpFailure, Route, ServerLimits } from './types.ts'

/** PEM texts. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** What a server is made of. */
export interface HttpServerOptions {
  readonly routes: readonly Route[]
  readonly authenticate: Authenticate
  readonly decide: Decide
  /** Values of `WWW-Authenticate` in answers 401, in the order in which clients should try them. Default: Basic. */
  readonly challenges?: ((request: IncomingMessage) => readonly string[]) | undefined
  readonly limits?: Partial<ServerLimits> | undefined
  /** What comes before every path, as `/cache`. Default: nothing. */
  readonly base?: string | undefined
  /** Names that `Host` may have, without port; undefined: any. A server that asks nobody who they are needs it. */
  readonly hosts?: readonly string[] | undefined
  /** Put into every answer. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly tls?: TlsFiles | undefined
  /** Unix ms. */
  readonly now: () => number
  /** Once for each request, when its answer has ended. Must not throw. */
  readonly onRequest?: ((entry: AccessEntry) => void) | undefined
  /** What nobody expected, which the client is told nothing of. Must not throw. */
  readonly onError?: ((error: unknown, entry: AccessEntry) => void) | undefined
}

/** A server, not yet listening. */
export interface HttpServer {
  /** As `server.listen` of Node has it: a port and host, a path, a descriptor. @throws what the system says */
  listen(options: ListenOptions): Promise<AddressInfo | string>
  /** Connections and requests at this moment. */
  load(): { readonly connections: number; readonly inFlight: number }
  /** Shows another certificate from the next connection on. */
  replaceTls(files: TlsFiles): void
  /** Stops accepting, lets what is under way end within `graceMs`, then ends it. Idempotent. */
  close(graceMs: number): Promise<void>
}

/** Makes a server of a table of routes. @throws {TypeError} where the table contradicts itself */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const core = new Core(options)
  return {
    listen: (where) => core.listen(where),
    load: () => ({ connections: core.connections.size, inFlight: core.underWay.size }),
    replaceTls: (files) => core.replaceTls(files),
    close: (graceMs) => core.close(graceMs),
  }
}

class Core {
  readonly underWay = new Set<RequestUnderWay>()
  readonly connections = new Set<Socket>()
  readonly #options: HttpServerOptions
  readonly #limits: ServerLimits
  readonly #permission: Permission
  readonly #find: ReturnType<typeof createRouter>
  readonly #base: readonly string[]
  readonly #hosts: ReadonlySet<string> | undefined
  readonly #server: Server | TlsServer
  readonly #perGrant = new Map<string, number>()
  /** Connections on which something was refused whose end is unclear: what follows may be a part of it. */
  readonly #unclear = new WeakSet<Duplex>()
  #closing: Promise<void> | undefined

  constructor(options: HttpServerOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    const { authenticate, decide } = options
    this.#permission = { authenticate, decide }
    this.#find = createRouter(options.routes)
    this.#base = (options.base ?? '').split('/').slice(1)
    this.#hosts = options.hosts === undefined ? undefined : new Set(options.hosts)
    this.#server = this.#create()
  }

  #create(): Server | TlsServer {
    const { headersMs, headerBytes, keepAliveMs, idleMs } = this.#limits
    const node = {
      insecureHTTPParser: false,
      // Asked for with all else: Node's own answer does not keep what follows from being read.
      requireHostHeader: false,
      maxHeaderSize: headerBytes,
      headersTimeout: headersMs,
      // A body may be of any length: its pace is bounded, in LimitedBody.
      requestTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: Math.max(20, Math.min(1000, headersMs / 4)),
      noDelay: true,
    }
    const { tls } = this.#options
    const server =
      tls === undefined
        ? createServer(node)
        : createTlsServer({ ...node, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: headersMs })
    // Everything that is read is within bounds by then; Node's own count would drop headers without a word.
    server.maxHeadersCount = 0
    server.setTimeout(idleMs)
    server
      .on('connection', (socket: Socket) => this.#accept(socket))
      .on('request', (request, response) => void this.#serve(request, response))
      .on('checkContinue', (request, response) => void this.#serve(request, response))
      .on('checkExpectation', (request, response) => void this.#serve(request, response, expectation))
      .on('timeout', (socket: Socket) => this.#quiet(socket))
      .on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#misread(error, socket))
      .on('connect', (_request: IncomingMessage, socket: Duplex) => reject(socket, noTunnel))
    return server
  }

  #accept(socket: Socket): void {
    if (this.connections.size >= this.#limits.connections) {
      // On a connection that will be encrypted nothing can be said yet.
      if (this.#options.tls === undefined) reject(socket, busy)
      else socket.destroy()
      return
    }
    this.connections.add(socket)
    socket.once('close', () => this.connections.delete(socket))
  }

  /** The parser gave up. What it read before may be being answered. */
  #misread(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (this.#unclear.has(socket)) return
    this.#unclear.add(socket)
    const begun = [...this.underWay].some(
      ({ request, response }) => request.socket === socket && response.headersSent,
    )
    if (begun) socket.destroy()
    else reject(socket, parserFailure(error))
  }

  /** Nothing came or went on a connection for `idleMs`: the end of one that waits for its client, not for us. */
  #quiet(socket: Socket): void {
    for (const one of this.underWay) {
      if (one.request.socket === socket && !one.response.writableNeedDrain) return
    }
    socket.destroy()
  }

  async #serve(request: IncomingMessage, response: ServerResponse, refused?: HttpFailure): Promise<void> {
    // Read in one go with a request whose end was unclear: nobody may have sent it.
    if (this.#unclear.has(request.socket)) return
    const { now, base = '', headers = {} } = this.#options
    const around = { limits: this.#limits, now, base, decide: this.#permission.decide }
    const one = new RequestUnderWay(request, response, around)
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (this.#closing !== undefined) response.setHeader('Connection', 'close')
    response.once('close', () => {
      this.#options.onRequest?.(one.entry())
      if (this.#closing !== undefined) setImmediate(() => this.#server.closeIdleConnections())
    })
    const full = this.underWay.size >= this.#limits.inFlight
    this.underWay.add(one)
    try {
      if (refused !== undefined) throw refused
      if (full) throw busy
      await this.#handle(one)
      if (!response.writableEnded) response.end()
    } catch (error) {
      await this.#fail(one, error)
    } finally {
      this.#leave(one)
    }
  }

  async #handle(one: RequestUnderWay): Promise<void> {
    const { request, response } = one
    try {
      checkHead(request, this.#limits, this.#hosts)
    } catch (error) {
      this.#unclear.add(request.socket)
      response.setHeader('Connection', 'close')
      throw error
    }
    const { components, query } = parseTarget(request.url ?? '', this.#limits.targetBytes)
    if (this.#base.some((component, index) => components[index] !== component)) throw nothing
    const match = this.#find(request.method ?? '', components.slice(this.#base.length))
    if (match.kind === 'none') throw nothing
    if (match.kind === 'method') {
      throw new HttpError(405, 'UNSUPPORTED', 'the method is not one of this path', {
        headers: { Allow: match.allow.join(', ') },
      })
    }
    one.route = match.route
    one.params = match.params
    one.queries = query
    one.query = new Map([...query].map(([name, values]) => [name, values[0] ?? '']))
    one.known = await admit(this.#permission, request, match.route, match.params)
    this.#enter(one)
    await match.route.handle(one)
    if (!response.headersSent)
      throw new Error(`Nothing was answered by ${match.route.method} ${match.route.path}`)
  }

  /** Counts the requests of a grant, so that one cannot take the places of all others. */
  #enter(one: RequestUnderWay): void {
    // Whether a server is well is asked without a token: strangers who are slow at something else must not be in the way.
    if (one.route?.needs === 'public' && one.grant.id === nobody.id && !one.hasBody) return
    const id = accountOf(one.grant)
    const count = this.#perGrant.get(id) ?? 0
    if (count >= this.#limits.inFlightPerGrant) {
      one.failure = tooMany
      throw tooMany
    }
    this.#perGrant.set(id, count + 1)
    one.counted = id
  }

  #leave(one: RequestUnderWay): void {
    if (!this.underWay.delete(one) || one.counted === undefined) return
    const left = (this.#perGrant.get(one.counted) ?? 1) - 1
    if (left === 0) this.#perGrant.delete(one.counted)
    else this.#perGrant.set(one.counted, left)
  }

  async #fail(one: RequestUnderWay, error: unknown): Promise<void> {
    const { request, response, signal } = one
    const failure = failureOf(error)
    one.failure = failure
    if (failure.status === 500 && !signal.aborted) this.#options.onError?.(error, one.entry())
    if (response.destroyed || request.socket.destroyed) return
    const { challenges = () => [basicChallenge] } = this.#options
    if (failure.status === 401) response.setHeader('WWW-Authenticate', [...challenges(request)])
    const unread = one.hasBody && !request.complete
    if (unread || failure.status === 503) response.setHeader('Connection', 'close')
    if (!unread || response.headersSent) return sendFailure(response, failure)
    response.writeHead(failure.status, failureHeaders(failure))
    if (request.method === 'HEAD') response.flushHeaders()
    else response.write(failureBody(failure))
    // From here on it costs no more than a connection.
    this.#leave(one)
    // With `Expect` and without `100 Continue` nothing will come.
    if (request.headers.expect === undefined || one.bodyWanted) await linger(request, this.#limits)
    response.end()
  }

  listen(where: ListenOptions): Promise<AddressInfo | string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(where, () => {
        this.#server.off('error', reject)
        resolve(this.#server.address() ?? '')
      })
    })
  }

  replaceTls(files: TlsFiles): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext({ ...files, minVersion: 'TLSv1.2' })
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#end(graceMs)
    return this.#closing
  }

  async #end(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const { response } of this.underWay) {
      if (!response.headersSent) response.setHeader('Connection', 'close')
    }
    this.#server.closeIdleConnections()
    const timer = setTimeout(() => {
      for (const one of this.underWay) one.abort()
      this.#server.closeAllConnections()
      for (const socket of this.connections) socket.destroy()
    }, graceMs)
    await closed
    clearTimeout(timer)
  }
}

/** What asks for a token as the password of anybody. */
export const basicChallenge = 'Basic realm="tsbuild cache"'

const retry = { 'Retry-After': '1' }
const busy = new HttpError(503, 'UNAVAILABLE', 'the server is busy', { headers: retry })
const tooMany = new HttpError(429, 'TOOMANYREQUESTS', 'too many requests of this token at one time', {
  headers: retry,
})
const nothing = new HttpError(404, 'NOT_FOUND', 'there is nothing at this path')
const noTunnel = new HttpError(405, 'UNSUPPORTED', 'this server is no proxy')
const expectation = new HttpError(417, 'UNSUPPORTED', 'nothing but 100-continue can be expected')

function failureHeaders(failure: HttpFailure): Record<string, string | number> {
  return {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(failureBody(failure)),
    ...failure.headers,
  }
}

/** What a request is told that the parser could make nothing of. */
function parserFailure(error: NodeJS.ErrnoException): HttpFailure {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new HttpError(431, 'UNSUPPORTED', 'the headers are too long')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError(408, 'UNSUPPORTED', 'the headers came too slowly')
    default:
      return new HttpError(400, 'UNSUPPORTED', 'this is no request')
  }
}

/** Answers on a connection that has no request, and ends it. */
function reject(socket: Duplex, failure: HttpFailure): void {
  if (!socket.writable) return void socket.destroy()
  const body = failureBody(failure)
  const headers = { ...failureHeaders(failure), Connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.on('error', () => {})
  socket.end(`HTTP/1.1 ${failure.status} ${failure.code}\r\n${lines.join('')}\r\n${body}`, () =>
    socket.destroy(),
  )
}

/** Reads on for a while: a client that is still sending would see its connection broken, and not the answer. */
function linger(
  request: IncomingMessage,
  limits: Pick<ServerLimits, 'lingerBytes' | 'lingerMs'>,
): Promise<void> {
  return new Promise((resolve) => {
    let received = 0
    const timer = setTimeout(resolve, limits.lingerMs)
    const end = () => {
      clearTimeout(timer)
      resolve()
    }
    request
      .on('data', (part: Buffer) => {
        received += part.length
        if (received > limits.lingerBytes) end()
      })
      .once('end', end)
      .once('close', end)
      .once('error', end)
      .resume()
  })
}
