import { isBuildError } from '@tsbuild/errors'
import type { HttpFailure } from './types.ts'

/** An answer other than success: what a handler throws. */
export class HttpError extends Error implements HttpFailure {
  readonly status: number
  readonly code: string
  readonly detail: unknown
  readonly headers: Readonly<Record<string, string>> | undefined

  constructor(
    status: number,
    code: string,
    message: string,
    options: {
      readonly detail?: unknown
      readonly headers?: Readonly<Record<string, string>>
      readonly cause?: unknown
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'HttpError'
    this.status = status
    this.code = code
    this.detail = options.detail
    this.headers = options.headers
  }
}

/** Whether a caught value is an {@link HttpError}, of this or another copy of this lib. */
export function isHttpError(value: unknown): value is HttpError {
  return value instanceof Error && value.name === 'HttpError' && 'status' in value
}

const retry = { 'Retry-After': '5' }

/** Codes of errors of other libs that are the client's fault, or pass. */
const known: Readonly<Record<string, Omit<HttpFailure, 'message'>>> = {
  ERR_STORE_NO_SPACE: { status: 507, code: 'UNAVAILABLE' },
  ERR_STORAGE_UNAVAILABLE: { status: 503, code: 'UNAVAILABLE', headers: retry },
  ERR_DIGEST_MISMATCH: { status: 400, code: 'DIGEST_INVALID' },
  ERR_DIGEST_INVALID: { status: 400, code: 'DIGEST_INVALID' },
  ERR_SIZE_MISMATCH: { status: 400, code: 'SIZE_INVALID' },
  ERR_RANGE: { status: 416, code: 'RANGE_INVALID' },
}

/** Of a system call that nobody gave a code of ours: it passes when other requests end. */
function hasNoDescriptor(error: unknown): boolean {
  return (
    error instanceof Error &&
    'syscall' in error &&
    'code' in error &&
    (error.code === 'EMFILE' || error.code === 'ENFILE')
  )
}

/**
 * What to answer for anything that was thrown. What nobody expected is 500 with no word of what it was: that is for the log.
 */
export function failureOf(error: unknown): HttpFailure {
  if (isHttpError(error)) return error
  const row = isBuildError(error) ? known[error.code] : undefined
  if (row !== undefined && error instanceof Error) return { ...row, message: error.message }
  if (hasNoDescriptor(error))
    return { status: 503, code: 'UNAVAILABLE', message: 'the server has too many files open', headers: retry }
  return { status: 500, code: 'UNKNOWN', message: 'the server failed; its log says how' }
}
