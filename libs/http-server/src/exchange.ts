import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { accountOf, type Decision, type Grant, nobody, type Operation, type Target } from '@tsbuild/trust'
import { LimitedBody, readWhole } from './body.ts'
import { printable } from './text.ts'
import type { AccessEntry, Decide, Exchange, HttpFailure, Params, Route, ServerLimits } from './types.ts'

/** What all requests of a server share. */
export interface Surroundings {
  readonly limits: ServerLimits
  readonly now: () => number
  readonly base: string
  readonly decide: Decide
}

/** One request from its headers to its end: what a handler is given, and what the log is told. */
export class RequestUnderWay implements Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  params: Params = {}
  query: ReadonlyMap<string, string> = new Map()
  queries: ReadonlyMap<string, readonly string[]> = new Map()
  route: Route | undefined
  known: Grant | undefined
  failure: HttpFailure | undefined
  /** The grant that it is counted for. */
  counted: string | undefined
  /** Whether somebody began to read the body. */
  bodyWanted = false
  readonly #around: Surroundings
  readonly #at: number
  readonly #abort = new AbortController()
  readonly #written: number
  #bytesIn = 0

  constructor(request: IncomingMessage, response: ServerResponse, around: Surroundings) {
    this.request = request
    this.response = response
    this.#around = around
    this.#at = around.now()
    this.#written = request.socket.bytesWritten
    // Undone when the body was read: until then what follows on this connection is no request.
    if (this.hasBody) response.setHeader('Connection', 'close')
    response.once('close', () => {
      if (!response.writableFinished) this.abort()
    })
  }

  get grant(): Grant {
    return this.known ?? nobody
  }

  get base(): string {
    return this.#around.base
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Whether the head announces a body. */
  get hasBody(): boolean {
    const { 'content-length': length, 'transfer-encoding': coding } = this.request.headers
    return coding !== undefined || (length !== undefined && length !== '0')
  }

  abort(): void {
    this.#abort.abort()
  }

  queryAll(name: string): readonly string[] {
    return this.queries.get(name) ?? []
  }

  may(operation: Operation, target: Target): Decision {
    return this.#around.decide(this.grant, operation, target)
  }

  readBody(maxBytes: number): Promise<Buffer> {
    return readWhole(this.body(maxBytes))
  }

  body(maxBytes: number): Readable {
    this.bodyWanted = true
    const { limits, now } = this.#around
    const count = (bytes: number) => {
      this.#bytesIn += bytes
    }
    const body = new LimitedBody(this.request, this.response, { maxBytes, limits, now, count })
    body.once('end', () => {
      if (!this.response.headersSent) this.response.removeHeader('Connection')
    })
    return body
  }

  /** For the log, once the response is closed. */
  entry(): AccessEntry {
    const { request, response } = this
    const mark = (request.url ?? '').indexOf('?')
    return {
      at: this.#at,
      durationMs: this.#around.now() - this.#at,
      remote: request.socket.remoteAddress ?? '',
      method: printable(request.method ?? '', 16),
      path: printable(mark === -1 ? (request.url ?? '') : (request.url ?? '').slice(0, mark), 1024),
      route: this.route === undefined ? undefined : `${this.route.method} ${this.route.path}`,
      status: response.headersSent ? response.statusCode : 499,
      complete: response.writableFinished,
      bytesIn: this.#bytesIn,
      bytesOut: request.socket.bytesWritten - this.#written,
      subject: this.known === undefined ? undefined : printable(this.known.subject, 256),
      grantId: this.known === undefined ? undefined : printable(this.known.id, 256),
      account: this.known === undefined ? undefined : accountOf(this.known),
      userAgent: printable(request.headers['user-agent'] ?? '', 256),
      failure: this.failure?.code,
    }
  }
}
