import type { ServerResponse } from 'node:http'

/** Answers whole. */
export function reply(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
  body?: Buffer | string,
): void {
  response.writeHead(status, headers)
  response.end(body)
}

/** Answers with an error of the protocol. */
export function replyError(response: ServerResponse, status: number, code: string, message = 'no'): void {
  reply(
    response,
    status,
    { 'content-type': 'application/json' },
    JSON.stringify({ errors: [{ code, message }] }),
  )
}
