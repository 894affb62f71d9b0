import { EnvironmentError, type ErrorCode, isBuildError, UserError } from '@tsbuild/errors'

/** What an operating system's error means when it reaches the command without a code of ours. */
const codes: ReadonlyMap<string, ErrorCode> = new Map([
  ['ENOSPC', 'ERR_STORE_NO_SPACE'],
  ['EDQUOT', 'ERR_STORE_NO_SPACE'],
  ['EACCES', 'ERR_PERMISSION'],
  ['EPERM', 'ERR_PERMISSION'],
  ['EROFS', 'ERR_PERMISSION'],
])

/**
 * Gives a low-level error that a lib let through its class: a full disk, refused access, an aborted wait. What is known
 * already comes back as it is, and so does what can only be a bug.
 */
export function classifyError(error: unknown): unknown {
  if (!(error instanceof Error) || isBuildError(error)) return error
  if (error.name === 'AbortError') return new UserError('ERR_CANCELLED', 'Cancelled', { cause: error })
  const code = 'code' in error && typeof error.code === 'string' ? codes.get(error.code) : undefined
  return code === undefined ? error : new EnvironmentError(code, error.message, { cause: error.cause })
}
