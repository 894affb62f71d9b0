import { type BuildError, UserError } from '@tsbuild/errors'

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

/** The alerts with which a server says that it wants another client certificate, or one at all. */
const clientCertificateCodes = new Set([
  'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
])

/** What a TLS client sees when the other side answers in plain text. */
const plainAnswerCodes = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'EPROTO'])

/**
 * Where nobody is reached at all, the sixth try is as good as the third, and people wait for an answer. Connections take
 * 10 s to be given up and silent servers 30 s, so these are tried less often still. A name that does not exist is a typing
 * error far more often than a moment's trouble.
 */
const maxAttempts: ReadonlyMap<string | undefined, number> = new Map([
  ['ENOTFOUND', 1],
  ['ECONNREFUSED', 3],
  ['EAI_AGAIN', 3],
  ['EHOSTUNREACH', 3],
  ['ENETUNREACH', 3],
  ['ETIMEDOUT', 2],
  ['UND_ERR_CONNECT_TIMEOUT', 2],
  ['UND_ERR_HEADERS_TIMEOUT', 3],
])

/** What kept a request from its answer. */
export type NetworkFault =
  /** The other side does not speak HTTPS. */
  | { readonly kind: 'plain' }
  /** The certificate cannot be trusted. */
  | { readonly kind: 'certificate' }
  /** The server refuses the certificate of the client, or misses one. */
  | { readonly kind: 'client-certificate' }
  /** A host that another server named is this machine. */
  | { readonly kind: 'internal' }
  /**
   * No answer, or half of one; `code` is the system's or undici's. Worth `maxAttempts` tries in all. One that `hungUp` said
   * nothing at all, as servers of TLS 1.3 do that miss a client certificate.
   */
  | {
      readonly kind: 'unreachable'
      readonly code: string | undefined
      readonly maxAttempts: number
      readonly hungUp: boolean
    }

/** Tells what an error of the transport means. */
export function networkFault(error: unknown): NetworkFault {
  const code = errorCode(error)
  if (code !== undefined && plainAnswerCodes.has(code)) return { kind: 'plain' }
  if (code !== undefined && tlsCodes.has(code)) return { kind: 'certificate' }
  if (code !== undefined && clientCertificateCodes.has(code)) return { kind: 'client-certificate' }
  if (code === 'ERR_INTERNAL_ADDRESS') return { kind: 'internal' }
  const tries = maxAttempts.get(code) ?? Number.POSITIVE_INFINITY
  return { kind: 'unreachable', code, maxAttempts: tries, hungUp: isHangUp(error) }
}

/** undici says how much of an answer came before the connection was closed. */
function isHangUp(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'UND_ERR_SOCKET') return false
  const socket: unknown = 'socket' in error ? error.socket : undefined
  return typeof socket === 'object' && socket !== null && 'bytesRead' in socket && socket.bytesRead === 0
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

/** The error of a call whose signal fired. @param what as a verb with its object: `pull debian:12` */
export function cancelled(what: string): UserError {
  return new UserError('ERR_CANCELLED', `Cannot ${what}: it was cancelled`)
}

/** Whether an error status may be gone the next time. A proxy's 499 is its client's going away, which may be another proxy. */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || status === 499 || status >= 500
}

/** Seconds or a date, as RFC 9110 has it; undefined where there is none or it makes no sense. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000
  const date = parseHttpDate(header)
  return date === undefined ? undefined : Math.max(0, date - nowMs)
}

/** Milliseconds since the Unix epoch; undefined for what is no date. `Date.parse` takes much for one: "-5" is a month to it. */
export function parseHttpDate(header: string | undefined): number | undefined {
  if (header === undefined || !/^\s*[A-Z][a-z]{2}/.test(header)) return undefined
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : date
}
