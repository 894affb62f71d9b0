import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { EnvironmentError, type ErrorCode, isBuildError, withSource } from '@tsbuild/errors'

/** The errno name of a failed system call, for example `ENOENT`; undefined for other values. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** What people can do where a disk refuses; what is left out is not said. */
export interface DiskHints {
  readonly full?: string
  readonly readOnly?: string
  readonly refused?: string
  readonly tooManyOpen?: string
}

const storeHints: DiskHints = {
  full: 'Free some space on its disk, or choose a store on another disk with `--root`.',
  readOnly: 'Remount it for writing, or choose another store with `--root`.',
  refused: 'Check who owns the store; root and other users need a store each (`--root`).',
  tooManyOpen: 'Permit more open files with `ulimit -n`.',
}

/** {@link diskFailure} with what can be done about the store of a build. */
export function storeFailure(error: unknown, action: string, path: string): unknown {
  return diskFailure(error, action, path, storeHints)
}

/**
 * The one place where a failed system call on what is kept becomes an error with a code: `ERR_STORE_NO_SPACE`,
 * `ERR_PERMISSION`, `ERR_STORAGE_UNAVAILABLE` where too many files are open, else `ERR_STORE_IO`. Errors that have a code of
 * ours, and values that are no failed system call, come back as they are.
 *
 * @param action what was tried, as a verb with its object: `write blob`
 */
export function diskFailure(error: unknown, action: string, path: string, hints: DiskHints = {}): unknown {
  const errno = errnoOf(error)
  if (isBuildError(error) || errno === undefined) return error
  const subject = `Cannot ${action} ${JSON.stringify(path)}`
  const failure = (code: ErrorCode, state: string, hint?: string) =>
    new EnvironmentError(code, `${subject}: ${state}`, {
      cause: error,
      details: { path, errno },
      hints: hint === undefined ? [] : [hint],
    })
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return noSpace(error, errno, subject, path, hints)
    case 'EMFILE':
    case 'ENFILE': {
      // Passes when other work closes its files: it is not damage.
      const whose = errno === 'EMFILE' ? 'this process' : 'this machine'
      const state = `${whose} has as many files open as it may (${errno})`
      return failure('ERR_STORAGE_UNAVAILABLE', state, hints.tooManyOpen)
    }
    case 'EROFS':
      return failure('ERR_PERMISSION', 'the file system is mounted read-only', hints.readOnly)
    case 'EACCES':
    case 'EPERM':
      return failure('ERR_PERMISSION', `the operating system refuses access (${errno})`, hints.refused)
    default:
      return failure('ERR_STORE_IO', messageOf(error))
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

/** As {@link unlessErrno} for synchronous calls. */
export function unlessErrnoSync<T>(errnos: readonly string[], body: () => T): T | undefined {
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
  const full = noSpace(error, errno, `Cannot write in the store ${JSON.stringify(root)}`, root, storeHints)
  return error.source === undefined ? full : withSource(full, error.source)
}

function noSpace(
  cause: unknown,
  errno: string,
  subject: string,
  path: string,
  { full }: DiskHints,
): EnvironmentError {
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
    hints: full === undefined ? [] : [full],
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
