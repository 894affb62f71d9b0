import { isBuildError, UserError } from '@tsbuild/errors'

/** The error that a build ends with: one that was stopped failed for whatever reason, and the end of its time has its own error. */
export function whyEnded(error: unknown, { aborted, reason }: AbortSignal): unknown {
  if (!aborted) return error
  return isBuildError(reason) ? reason : new UserError('ERR_CANCELLED', 'The build was cancelled')
}
