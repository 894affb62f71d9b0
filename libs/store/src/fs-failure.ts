import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { EnvironmentError, isBuildError, withSource } from '@tsbuild/errors'

/** The errno name of a failed system call, for example `ENOENT`; undefined for other values. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/**
 * The one place where a failed system call on the store becomes an error with a code: `ERR_STORE_NO_SPACE`,
 * `ERR_PERMISSION`, else `ERR_STORE_IO`. Errors that have a code of ours, and values that are no failed system call,
 * come back as they are.
 *
 * @param action what was tried, as a verb with its object: `write blob`
 */
export function storeFailure(error: unknown, action: string, path: string): unknown {
  const errno = errnoOf(error)
  if (isBuildError(error) || errno === undefined) return error
  const subject = `Cannot ${action} ${JSON.stringify(path)}`
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return noSpace(error, errno, subject, path)
    case 'EROFS':
      return new EnvironmentError('ERR_PERMISSION', `${subject}: the file system is mounted read-only`, {
        cause: error,
        details: { path, errno },
        hints: ['Remount it for writing, or choose another store with `--root`.'],
      })
    case 'EACCES':
    case 'EPERM':
      return new EnvironmentError(
        'ERR_PERMISSION',
        `${subject}: the operating system refuses access (${errno})`,
        {
          cause: error,
          details: { path, errno },
          hints: ['Check who owns the store; root and other users need a store each (`--root`).'],
        },
      )
    default:
      return new EnvironmentError('ERR_STORE_IO', `${subject}: ${messageOf(error)}`, {
        cause: error,
        details: { path, errno },
      })
  }
}

/** Runs `body`; a failed system call in it leaves as {@link storeFailure}. */
export async function onDisk<T>(action: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw storeFailure(error, action, path)
  }
}

/** As {@link onDisk} for synchronous calls. */
export function onDiskSync<T>(action: string, path: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw storeFailure(error, action, path)
  }
}

/** Runs `body` and returns undefined where it fails with one of the named errors. */
export function unlessErrno<T>(errnos: readonly string[], body: () => T): T | undefined {
  try {
    return body()
  } catch (error) {
    if (errnos.includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/**
 * Gives an error of the helper, which knows no store, what a full disk needs: the path, what is free and a hint. The helper's
 * own words become the cause. Anything else comes back as it is.
 */
export function withStoreSpace(error: unknown, root: string): unknown {
  if (!isBuildError(error) || error.code !== 'ERR_STORE_NO_SPACE') return error
  const { errno, path } = error.details ?? {}
  if (typeof errno !== 'string' || path !== undefined) return error
  const full = noSpace(error, errno, `Cannot write in the store ${JSON.stringify(root)}`, root)
  return error.source === undefined ? full : withSource(full, error.source)
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
    hints: ['Free some space on its disk, or choose a store on another disk with `--root`.'],
  })
}

/** What the caller may still use of the file system that holds a path. */
function freeSpace(path: string): { readonly bytes: number; readonly inodes: number } | undefined {
  for (const candidate of [path, dirname(path), dirname(dirname(path))]) {
    try {
      const { bavail, bsize, ffree } = statfsSync(candidate)
      return { bytes: bavail * bsize, inodes: ffree }
    } catch {
      // The path may be one that could not be made; its parent is on the same file system.
    }
  }
  return undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
