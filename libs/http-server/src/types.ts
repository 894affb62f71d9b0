import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Grant, Operation, Target } from '@tsbuild/trust'

/** Methods that any route has. */
export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'

/**
 * One line of the table of routes. The table is data: the golden test of permissions goes over every line, so that a new route
 * cannot forget to say who may use it.
 */
export interface Route {
  readonly method: Method
  /** `/v2/{name...}/blobs/{digest}`: `{x}` is one component, `{x...}` one or more. Matched against the raw path, decoded once. */
  readonly path: string
  /** `public` needs nothing, `any` a valid grant whatever it permits, and anything else that operation on the target. */
  readonly needs: 'public' | 'any' | Operation
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
  /** Who asks. */
  readonly grant: Grant
  /** Fires when the client has gone, or the server ends for good. */
  readonly signal: AbortSignal
  /**
   * The body, whole.
   * @throws {HttpError} 413 where it is longer, 411/400 where its length makes no sense, 408 where it does not come
   */
  readBody(maxBytes: number): Promise<Buffer>
  /** The body as it comes, held to the limits of time and size of the server. */
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
