import { isBuildError } from '@tsbuild/errors'

/** How a command ends. */
export const exitCodes = {
  success: 0,
  user: 1,
  usage: 2,
  environment: 3,
  /** As `EX_SOFTWARE` of sysexits.h. */
  internal: 70,
  /** 128 + SIGINT, whichever signal or call it was. */
  cancelled: 130,
} as const

/** The exit code for a value that a command threw. What is no {@link BuildError} is a bug of ours. */
export function exitCodeOf(error: unknown): number {
  if (!isBuildError(error)) return exitCodes.internal
  if (error.code === 'ERR_CANCELLED') return exitCodes.cancelled
  if (error.code === 'ERR_USAGE') return exitCodes.usage
  return exitCodes[error.kind]
}
