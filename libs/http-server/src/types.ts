import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Decision, Grant, Operation, Target } from '@tsbuild/trust'

/** Methods that any route has. */
export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'

/** What a route asks of who calls it: `public` nothing, `any` a valid grant whatever it permits, else that operation. */
export type Need = 'public' | 'any' | Operation

/**
 * One line of the table of routes. The table is data: the golden test of permissions goes over every line, so that a new route
 * cannot forget to say who may use it.
 */
export interface Route {
  readonly method: Method
  /**
   * `/v2/{name...}/blobs/{digest}`: `{x}` is one component, `{x...}` one or more. Matched against the raw path, decoded once. A
   * `/` at the end may be left out by the client, and one that is not there may not be added.
   */
  readonly path: string
  readonly needs: Need
  /** What it is about; undefined where the parameters make no sense, which is answered like something that is not there. */
  readonly target: (params: Params) => Target | undefined
  handle(exchange: Exchange): Promise<void>
}

/** The parameters of a path by name, decoded. */
export type Params = Readonly<Record<string, string>>

/** One request under way. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly params: Params
  /** Decoded; of a name that is given twice the first. */
  readonly query: ReadonlyMap<string, string>
  /** All values of a name in the query, in their order. */
  queryAll(name: string): readonly string[]
  /** Who asks; where nobody said who they are, a grant that permits nothing. */
  readonly grant: Grant
  /** What is put before every path of the server: empty, or `/cache`. A `Location` begins with it. */
  readonly base: string
  /** Fires when the client has gone, or the server ends for good. */
  readonly signal: AbortSignal
  /** Whether who asks may do something else besides what the route is for. */
  may(operation: Operation, target: Target): Decision
  /**
   * The body, whole.
   * @throws {HttpError} 413 where it is longer, 408 where it does not come
   */
  readBody(maxBytes: number): Promise<Buffer>
  /**
   * The body as it comes, held to the limits of time and size of the server. To be read to its end or destroyed; the connection
   * outlives it, so that an answer can still be sent. Fails as `readBody` does.
   */
  body(maxBytes: number): Readable
}

/** What a handler throws, and what anything else that it throws is turned into. */
export interface HttpFailure {
  readonly status: number
  /** As in the distribution specification: `BLOB_UNKNOWN`, `DENIED`. */
  readonly code: string
  readonly message: string
  readonly detail?: unknown
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Who is behind a request; undefined where it does not say. Throws an `HttpError` 401 for what it says and is not true. */
export type Authenticate = (request: IncomingMessage) => Promise<Grant | undefined> | Grant | undefined

/** What a grant permits; where nobody said who they are, one that permits nothing. `public` is never asked. */
export type Decide = (grant: Grant, needs: 'any' | Operation, target: Target) => Decision

/** One request that was answered, or broke off. Texts hold no control characters. */
export interface AccessEntry {
  /** Unix ms, when its headers had come. */
  readonly at: number
  readonly durationMs: number
  readonly remote: string
  readonly method: string
  /** As it came, without the query, which may hold what is signed; at most 1,024 characters. */
  readonly path: string
  /** The line of the table; undefined where there was none. */
  readonly route: string | undefined
  /** 499 where the client had gone before an answer was begun. */
  readonly status: number
  /** Whether the answer reached its end. */
  readonly complete: boolean
  /** Of the body, read so far. */
  readonly bytesIn: number
  /** Of the body. */
  readonly bytesOut: number
  /** The grant's subject and id; undefined where there was none. */
  readonly subject: string | undefined
  readonly grantId: string | undefined
  /** What the grant is counted by: `accountOf` of libs/trust. */
  readonly account: string | undefined
  readonly userAgent: string
  /** The code of the failure that was answered. */
  readonly failure: string | undefined
}

/** Bounds on what a client may use up. Milliseconds and bytes. */
export interface ServerLimits {
  /** For the request line and all headers, from the first byte or the end of the request before. */
  readonly headersMs: number
  readonly headerBytes: number
  readonly headerCount: number
  /** Of the request target. */
  readonly targetBytes: number
  /** How long a body may bring nothing, and a client take nothing of an answer. */
  readonly idleMs: number
  /** A body must come at this pace, in bytes a second, counted from `idleMs` on; the server's own waiting is not counted. */
  readonly bodyPace: number
  /** How long an unused connection is kept. */
  readonly keepAliveMs: number
  readonly connections: number
  /** Requests at one time. */
  readonly inFlight: number
  /** Requests at one time of one grant. */
  readonly inFlightPerGrant: number
  /** What is read of a body that nobody wanted, so that the client reads the answer, before the connection is closed. */
  readonly lingerBytes: number
  readonly lingerMs: number
}
