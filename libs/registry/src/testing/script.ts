import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Exchange, Fault } from './fake-registry.ts'
import { reply, replyError } from './replies.ts'

/** What goes wrong with a request. */
export type Misdeed =
  /** Another answer than the registry's own, which does nothing. */
  | {
      readonly type: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>> | undefined
      readonly body?: Buffer | string | undefined
      /** An error code of the protocol. */
      readonly code?: string | undefined
    }
  /** The line is cut once so many bytes of the request's body have come. */
  | { readonly type: 'cut-request'; readonly after: number }
  /** Of the answer come its headers and so many bytes; then the line is closed or reset. */
  | { readonly type: 'cut-answer'; readonly after: number; readonly how: 'close' | 'reset' | 'chunked' }
  /** The registry does what it was asked for, and nobody hears of it. */
  | { readonly type: 'lose-answer' }
  /** Of the answer come so many bytes, and then nothing for ever; without a number not even its headers. */
  | { readonly type: 'silence'; readonly after?: number | undefined }
  /** The answer as it would have been, changed. */
  | { readonly type: 'change'; readonly change: (answer: Answer) => Answer }
  /** These bytes, on the bare connection, which is closed then. */
  | { readonly type: 'raw'; readonly text: (answer: Answer) => string | Buffer }

/** An answer before it is sent. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Which requests of a script are hit. */
export type Which = Pick<Fault, 'method' | 'path' | 'after' | 'times'>

/** Makes a line of a script. */
export function fault(which: Which, misdeed: Misdeed): Fault {
  return { ...which, act: (exchange) => act(exchange, misdeed) }
}

async function act(exchange: Exchange, misdeed: Misdeed): Promise<void> {
  const { request, response } = exchange
  switch (misdeed.type) {
    case 'answer':
      await exchange.body()
      if (misdeed.code === undefined)
        return reply(response, misdeed.status, misdeed.headers ?? {}, misdeed.body)
      return replyError(response, misdeed.status, misdeed.code)
    case 'cut-request':
      cutRequest(request, misdeed.after)
      return void (await exchange.next().catch(() => undefined))
    case 'lose-answer':
      await capture(exchange)
      return void response.socket?.destroy()
    case 'silence':
      if (misdeed.after === undefined) return void request.resume()
      return send(response, await capture(exchange), misdeed.after, () => undefined)
    case 'cut-answer':
      return await cutAnswer(exchange, misdeed)
    case 'change': {
      const { status, headers, body } = misdeed.change(await capture(exchange))
      return reply(response, status, headers, request.method === 'HEAD' ? undefined : body)
    }
    case 'raw':
      return void response.socket?.end(misdeed.text(await capture(exchange)))
  }
}

function cutRequest(request: IncomingMessage, after: number): void {
  let length = 0
  if (after === 0) return void request.destroy()
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length >= after) request.destroy()
  })
}

async function cutAnswer(
  exchange: Exchange,
  misdeed: Extract<Misdeed, { type: 'cut-answer' }>,
): Promise<void> {
  const { response } = exchange
  const answer = await capture(exchange)
  const { 'content-length': _, ...unannounced } = answer.headers
  const headers = misdeed.how === 'chunked' ? unannounced : answer.headers
  send(response, { ...answer, headers }, misdeed.after, () => {
    if (misdeed.how === 'reset') response.socket?.resetAndDestroy()
    else response.socket?.destroy()
  })
}

/** Sends the headers and the first bytes, and then whatever is wrong. */
function send(response: ServerResponse, answer: Answer, bytes: number, then: () => void): void {
  response.writeHead(answer.status, answer.headers)
  if (bytes > 0) return void response.write(answer.body.subarray(0, bytes), then)
  response.flushHeaders()
  setImmediate(then)
}

/** Lets the registry do its work, and keeps its answer. */
async function capture({ response, next }: Exchange): Promise<Answer> {
  const { writeHead, end } = response
  let answer: Answer = { status: 200, headers: {}, body: Buffer.alloc(0) }
  response.writeHead = ((status: number, headers: Record<string, string> = {}) => {
    answer = { ...answer, status, headers }
    return response
  }) as typeof writeHead
  response.end = ((body?: Buffer | string) => {
    answer = { ...answer, body: Buffer.from(body ?? '') }
    return response
  }) as typeof end
  await next()
  response.writeHead = writeHead
  response.end = end
  return answer
}
