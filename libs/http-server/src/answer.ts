import type { ServerResponse } from 'node:http'
import type { HttpFailure } from './types.ts'

/** Headers of an answer. */
export type Headers = Readonly<Record<string, string | number>>

/** Sends an answer without a body. */
export function sendEmpty(response: ServerResponse, status: number, headers: Headers = {}): void {
  const length = status === 204 || status === 304 ? {} : { 'Content-Length': 0 }
  response.writeHead(status, { ...length, ...headers })
  response.end()
}

/** Sends bytes that are in memory; to `HEAD` only the headers that `GET` has. */
export function sendBytes(
  response: ServerResponse,
  status: number,
  bytes: Uint8Array | string,
  headers: Headers,
): void {
  response.writeHead(status, { 'Content-Length': Buffer.byteLength(bytes), ...headers })
  response.end(response.req.method === 'HEAD' ? undefined : bytes)
}

/** As {@link sendBytes}, JSON. */
export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Headers = {},
): void {
  sendBytes(response, status, JSON.stringify(value), { 'Content-Type': 'application/json', ...headers })
}

/**
 * The body of a failure.
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
 */
export function failureBody(failure: HttpFailure): string {
  const { code, message, detail } = failure
  return `${JSON.stringify({ errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] })}\n`
}

/** Sends a failure; of an answer that was begun the connection is ended, so that nobody takes the rest for the whole. */
export function sendFailure(response: ServerResponse, failure: HttpFailure, headers: Headers = {}): void {
  if (response.headersSent) return void response.destroy()
  sendBytes(response, failure.status, failureBody(failure), {
    'Content-Type': 'application/json',
    ...headers,
    ...failure.headers,
  })
}
