import { type BuildError, EnvironmentError, isBuildError, redact, UserError } from '@tsbuild/errors'
import type { HttpResponse } from './transport.ts'

const shownBodyBytes = 64 * 1024
const shownTextLength = 300

/** A failure that is worth another try. */
export class TransientFailure extends Error {
  readonly failure: BuildError
  readonly retryAfterMs: number | undefined
  /** The most tries that this kind of failure is worth. */
  readonly maxAttempts: number

  constructor(
    failure: BuildError,
    options: { retryAfterMs?: number | undefined; maxAttempts?: number | undefined } = {},
  ) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.retryAfterMs = options.retryAfterMs
    this.maxAttempts = options.maxAttempts ?? Number.POSITIVE_INFINITY
  }
}

/** Carries a failure of this machine's, a full disk for example, past the retries, which then throw its cause. */
export class LocalFailure extends Error {
  constructor(cause: unknown) {
    super('a local stream failed', { cause })
  }
}

/** What a request was for, for messages: `pull debian:12`, and the host that is asked. */
export interface Purpose {
  readonly what: string
  readonly host: string
}

const tlsCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** What a TLS client sees when the other side answers in plain text. */
const plainAnswerCodes = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'EPROTO'])

/**
 * Where nobody is reached at all, the sixth try is as good as the third, and people wait for an answer. Connections take
 * 10 s to be given up and silent servers 30 s, so these are tried less often still.
 */
const maxAttempts: ReadonlyMap<string | undefined, number> = new Map([
  ['ECONNREFUSED', 3],
  ['EAI_AGAIN', 3],
  ['EHOSTUNREACH', 3],
  ['ENETUNREACH', 3],
  ['ETIMEDOUT', 2],
  ['UND_ERR_CONNECT_TIMEOUT', 2],
  ['UND_ERR_HEADERS_TIMEOUT', 3],
])

/** Gives an error of the network its class: what to try again, and what the user can do. */
export function networkFailure(error: unknown, purpose: Purpose): BuildError | TransientFailure {
  if (error instanceof TransientFailure || isBuildError(error)) return error
  const code = errorCode(error)
  const cannot = `Cannot ${purpose.what}:`
  if (code !== undefined && plainAnswerCodes.has(code)) {
    return new EnvironmentError('ERR_REGISTRY_TLS', `${cannot} ${purpose.host} does not speak HTTPS`, {
      cause: error,
      hints: [`If ${purpose.host} is a registry in plain HTTP that you trust, declare it insecure.`],
    })
  }
  if (code !== undefined && tlsCodes.has(code)) {
    return new EnvironmentError(
      'ERR_REGISTRY_TLS',
      `${cannot} the certificate of ${purpose.host} cannot be trusted`,
      {
        cause: error,
        hints: ['Name the certificate authority that signed it, or declare the registry insecure.'],
      },
    )
  }
  if (code === 'ERR_INTERNAL_ADDRESS') {
    return new EnvironmentError('ERR_REGISTRY_RESPONSE', `${cannot} it leads to an address of this machine`, {
      cause: error,
    })
  }
  const failure = new EnvironmentError(
    'ERR_REGISTRY_UNREACHABLE',
    `${cannot} ${purpose.host} does not answer (${redact(code ?? String(error))})`,
    { cause: error },
  )
  // A name that does not exist is a typing error far more often than a moment's trouble.
  if (code === 'ENOTFOUND') return failure
  return new TransientFailure(failure, { maxAttempts: maxAttempts.get(code) })
}

/** What an error response says. */
export interface ErrorAnswer {
  /** The protocol's error codes, for example `MANIFEST_UNKNOWN`. */
  readonly codes: readonly string[]
  /** One line, without secrets; may be empty. */
  readonly text: string
}

/** Reads the body of an error response; never fails. @param hide takes secrets out of a text */
export async function readErrorAnswer(
  response: HttpResponse,
  hide: (text: string) => string,
): Promise<ErrorAnswer> {
  const body = await readBody(response, shownBodyBytes).then(
    (bytes) => bytes.toString(),
    () => '',
  )
  const listed = errorList(body)
  const text = listed.length > 0 ? listed.map(({ code, message }) => `${code}: ${message}`).join('; ') : body
  return { codes: listed.map(({ code }) => code), text: shorten(hide(redact(text))) }
}

/** The error for a status that the operation cannot go on with. */
export function statusFailure(
  response: HttpResponse,
  answer: ErrorAnswer,
  purpose: Purpose,
  nowMs: number,
): BuildError | TransientFailure {
  const { status } = response
  const said = answer.text === '' ? '' : `: ${answer.text}`
  const details = { status, codes: answer.codes }
  if (status === 401 || status === 403) {
    return new EnvironmentError(
      'ERR_REGISTRY_AUTH',
      `Cannot ${purpose.what}: ${purpose.host} refuses it with status ${status}${said}`,
      {
        details,
        hints: ['Check the name, and the credentials for this registry in the Docker configuration.'],
      },
    )
  }
  const failure = new EnvironmentError(
    'ERR_REGISTRY_STATUS',
    `Cannot ${purpose.what}: ${purpose.host} answers with status ${status}${said}`,
    { details },
  )
  if (status !== 408 && status !== 429 && status < 500) return failure
  return new TransientFailure(failure, { retryAfterMs: retryAfterMs(response.header('retry-after'), nowMs) })
}

/** The error for an answer that is not the protocol. */
export function nonsense(purpose: Purpose, fault: string): BuildError {
  return new EnvironmentError(
    'ERR_REGISTRY_RESPONSE',
    `Cannot ${purpose.what}: ${purpose.host} answers ${fault}`,
  )
}

/** The failure of an answer that does not come to its end; worth another try. */
export function interrupted(purpose: Purpose, sent: string): TransientFailure {
  return new TransientFailure(
    new EnvironmentError('ERR_REGISTRY_UNREACHABLE', `Cannot ${purpose.what}: ${purpose.host} sends ${sent}`),
  )
}

/** @throws {EnvironmentError} `ERR_REGISTRY_RESPONSE` if it is longer than `maxBytes` */
export async function readBody(response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response.body) {
    length += chunk.length
    if (length > maxBytes) {
      response.body.destroy()
      throw new EnvironmentError(
        'ERR_REGISTRY_RESPONSE',
        `Cannot read an answer: it is longer than ${maxBytes} bytes`,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The error of a call whose signal fired. */
export function cancelled(what: string): UserError {
  return new UserError('ERR_CANCELLED', `Cannot ${what}: it was cancelled`)
}

/** Seconds or a date, as RFC 9110 has it; undefined where there is none or it makes no sense. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000
  // Date.parse takes much for a date that is none: "-5" is a month to it.
  const date = /^\s*[A-Z][a-z]{2}/.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}

function errorList(body: string): readonly { code: string; message: string }[] {
  try {
    const parsed: unknown = JSON.parse(body)
    const errors: unknown =
      typeof parsed === 'object' && parsed !== null && 'errors' in parsed ? parsed.errors : undefined
    return Array.isArray(errors) ? errors.slice(0, 5).flatMap(readErrorEntry) : []
  } catch {
    return []
  }
}

function readErrorEntry(entry: unknown): readonly { code: string; message: string }[] {
  if (typeof entry !== 'object' || entry === null || !('code' in entry) || typeof entry.code !== 'string')
    return []
  const message = 'message' in entry && typeof entry.message === 'string' ? entry.message : ''
  return [{ code: entry.code, message }]
}

function shorten(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a server's text must not steer the terminal
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, ' ').trim()
  return line.length > shownTextLength ? `${line.slice(0, shownTextLength)}…` : line
}

/** The system's or undici's code of a network error: several failed connections are wrapped into one, TLS errors into undici's. */
export function errorCode(error: unknown): string | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; depth++) {
    if (current instanceof AggregateError && current.errors.length > 0) current = current.errors[0]
    else if ('code' in current && typeof current.code === 'string') return current.code
    else current = current.cause
  }
  return undefined
}
