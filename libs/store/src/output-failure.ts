import { EnvironmentError, isBuildError } from '@tsbuild/errors'

const reasons: ReadonlyMap<unknown, string> = new Map([
  ['EACCES', 'permission denied'],
  ['EDQUOT', 'the quota of the disk is used up'],
  ['EEXIST', 'it is no directory'],
  ['EISDIR', 'it is a directory, a file is wanted'],
  ['ENOENT', 'its directory does not exist'],
  ['ENOSPC', 'the disk is full'],
  ['ENOTDIR', 'a part of its path is no directory'],
  ['ENOTEMPTY', 'it was filled meanwhile'],
  ['EPIPE', 'whoever was reading it has gone'],
  ['EROFS', 'its file system is read-only'],
])

/**
 * Explains why something outside of the store could not be written: `ERR_STORE_NO_SPACE` on a full disk, else `ERR_OUTPUT`. Errors
 * that have a code of ours, and values without the code of a system call or a stream, come back as they are.
 *
 * @param subject `Cannot write "out.tar"`
 */
export function outputFailure(error: unknown, subject: string): unknown {
  if (isBuildError(error) || !(error instanceof Error) || !('code' in error)) return error
  const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT'
  const message = `${subject}: ${reasons.get(error.code) ?? error.message}`
  return new EnvironmentError(isFull ? 'ERR_STORE_NO_SPACE' : 'ERR_OUTPUT', message, { cause: error })
}
