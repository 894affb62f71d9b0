import {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request as requestPlain,
} from 'node:http'
import { request as requestSecure } from 'node:https'
import type { Writable } from 'node:stream'
import { EnvironmentError } from '@tsbuild/errors'
import { cancelled } from '@tsbuild/http'
import type { EngineAddress } from './types.ts'

/** How long an engine may take to answer a question. */
const answerMs = 30_000
/** Unpacking a large image is silent. */
const loadMs = 30 * 60_000
const maxAnswerBytes = 16 * 1024 * 1024

/** An answer, read whole. */
export interface EngineAnswer {
  readonly status: number
  readonly header: (name: string) => string | undefined
  readonly text: string
}

/** One request. */
export interface EngineRequest {
  readonly method: 'GET' | 'POST'
  /** With its query, without the version of the API. */
  readonly path: string
  readonly signal?: AbortSignal | undefined
  /** Writes a tar as the body; it does not end the stream. */
  readonly body?: ((out: Writable) => Promise<void>) | undefined
}

/** Sends requests to one engine. @throws {EnvironmentError} what the system says where there is no answer */
export type Ask = (request: EngineRequest) => Promise<EngineAnswer>

/** The address as DOCKER_HOST has it. */
export function formatAddress(address: EngineAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`
  return `tcp://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

/**
 * Makes requests to an engine, each over a connection of its own.
 *
 * The answer counts even where it comes before the body was read: an engine that refuses an archive says why and closes.
 */
export function connectTo(address: EngineAddress): Ask {
  return async ({ method, path, signal, body }) => {
    if (signal?.aborted) throw cancelled('ask the engine')
    const headers = body === undefined ? {} : { 'Content-Type': 'application/x-tar' }
    const request = open(address, { method, path, headers, timeout: body === undefined ? answerMs : loadMs })
    const abort = () => request.destroy(cancelled('load the image'))
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const answer = readAnswer(request)
      answer.catch(() => {})
      await sendBody(request, body, answer)
      return await answer
    } finally {
      signal?.removeEventListener('abort', abort)
      request.destroy()
    }
  }
}

function open(address: EngineAddress, options: RequestOptions): ClientRequest {
  // A pool would keep a connection that the engine is about to close; the questions are few.
  const common = { ...options, agent: false as const }
  if (address.kind === 'unix') {
    return requestPlain({
      ...common,
      socketPath: address.path,
      headers: { ...options.headers, Host: 'engine' },
    })
  }
  const { host, port, tls } = address
  if (tls === undefined) return requestPlain({ ...common, host, port })
  const { verify, ...pem } = tls
  return requestSecure({ ...common, host, port, ...pem, rejectUnauthorized: verify })
}

/** Resolves when the body is sent, or when there is an answer already. */
async function sendBody(
  request: ClientRequest,
  body: EngineRequest['body'],
  answer: Promise<EngineAnswer>,
): Promise<void> {
  if (body === undefined) return void request.end()
  const sent = body(request).then(() => void request.end())
  sent.catch(() => {})
  await Promise.race([sent, answer])
}

function readAnswer(request: ClientRequest): Promise<EngineAnswer> {
  return new Promise((resolve, reject) => {
    request.once('error', reject)
    request.once('timeout', () => request.destroy(new Error('it does not answer')))
    request.once('response', (response) => {
      collect(response).then((text) => {
        const header = (name: string) => {
          const value = response.headers[name]
          return typeof value === 'object' ? value.join(', ') : value
        }
        resolve({ status: response.statusCode ?? 0, header, text })
      }, reject)
    })
  })
}

async function collect(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    length += chunk.length
    if (length > maxAnswerBytes)
      throw new EnvironmentError(
        'ERR_ENGINE_RESPONSE',
        `Cannot read the answer of the engine: it has more than ${maxAnswerBytes} bytes`,
      )
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
