import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import { errnoOf } from '@tsbuild/store'
import type { ByteRange, ObjectKey } from './types.ts'

/**
 * The one place where a failed system call on a store becomes an error with a code: `ERR_STORE_NO_SPACE`, `ERR_PERMISSION`,
 * `ERR_STORAGE_UNAVAILABLE` where there are too many open files,
 * else `ERR_STORE_IO`. Errors with a code of ours, and values that are no failed system call, come back as they are.
 *
 * @param action what was tried, as a verb with its object: `write object`
 */
export function diskFailure(error: unknown, action: string, path: string): unknown {
  const errno = errnoOf(error)
  if (isBuildError(error) || errno === undefined) return error
  const subject = `Cannot ${action} ${JSON.stringify(path)}`
  const details = { path, errno }
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return noSpace(error, errno, subject, path)
    case 'EMFILE':
    case 'ENFILE': {
      // Passes: files are closed when other requests end.
      const whose = errno === 'EMFILE' ? 'this process' : 'this machine'
      const state = `${whose} has as many files open as it may (${errno})`
      return new EnvironmentError('ERR_STORAGE_UNAVAILABLE', `${subject}: ${state}`, {
        cause: error,
        details,
      })
    }
    case 'EROFS':
    case 'EACCES':
    case 'EPERM': {
      const state =
        errno === 'EROFS' ? 'the file system is mounted read-only' : `access is refused (${errno})`
      return new EnvironmentError('ERR_PERMISSION', `${subject}: ${state}`, { cause: error, details })
    }
    default: {
      const why = error instanceof Error ? error.message : String(error)
      return new EnvironmentError('ERR_STORE_IO', `${subject}: ${why}`, { cause: error, details })
    }
  }
}

/** Runs `body`; a failed system call in it leaves as {@link diskFailure}. */
export async function onDisk<T>(action: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw diskFailure(error, action, path)
  }
}

/** Runs `body` and gives undefined where it fails with one of the named errors. */
export async function unlessErrno<T>(
  errnos: readonly string[],
  body: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await body()
  } catch (error) {
    if (errnos.includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

function noSpace(cause: unknown, errno: string, subject: string, path: string): EnvironmentError {
  const free = freeSpace(path)
  const room = free === undefined ? '' : `, ${free.bytes} bytes and ${free.inodes} inodes are free`
  const state =
    errno === 'ENOSPC'
      ? 'the file system is full'
      : errno === 'EDQUOT'
        ? 'the disk quota is used up'
        : 'the file would be larger than the limit for one file'
  return new EnvironmentError('ERR_STORE_NO_SPACE', `${subject}: ${state}${room}`, {
    cause,
    details: { path, errno, freeBytes: free?.bytes, freeInodes: free?.inodes },
  })
}

function freeSpace(path: string): { readonly bytes: number; readonly inodes: number } | undefined {
  for (const candidate of [path, dirname(path), dirname(dirname(path))]) {
    try {
      const { bavail, bsize, ffree } = statfsSync(candidate)
      return { bytes: bavail * bsize, inodes: ffree }
    } catch {
      // What could not be made has a parent on the same file system.
    }
  }
  return undefined
}

/** @throws {UserError} `ERR_CANCELLED` where the signal has fired */
export function throwIfCancelled(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw cancelled(signal, what)
}

/** What a call whose signal fired rejects with. */
export function cancelled(signal: AbortSignal, what: string): UserError {
  return new UserError('ERR_CANCELLED', `Cannot ${what}: cancelled`, { cause: signal.reason })
}

/** What a call on a closed store rejects with. */
export function storeIsClosed(kind: string): EnvironmentError {
  return new EnvironmentError('ERR_STORAGE_UNAVAILABLE', `Cannot use object store "${kind}": it is closed`)
}

/** What {@link ObjectStore.cas} says to a value that is too large. */
export function valueTooLarge(key: ObjectKey, size: number, limit: number): UserError {
  return new UserError(
    'ERR_OBJECT_TOO_LARGE',
    `Cannot replace object "${key}": the value has ${size} bytes, expected at most ${limit}`,
  )
}

/**
 * The first byte of a range and the one after its last.
 * @throws {UserError} `ERR_RANGE`
 */
export function boundsOf(
  key: ObjectKey,
  size: number,
  range: ByteRange | undefined,
): { readonly start: number; readonly end: number } {
  if (range === undefined) return { start: 0, end: size }
  const { start } = range
  const end = Math.min(range.end ?? size - 1, size - 1) + 1
  const makesSense =
    Number.isSafeInteger(start) && start >= 0 && start < size && (range.end ?? start) >= start
  if (makesSense) return { start, end }
  throw new UserError(
    'ERR_RANGE',
    `Cannot read object "${key}" from ${start} to ${range.end ?? 'its end'}: it has ${size} bytes`,
  )
}
