import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EnvironmentError } from '@tsbuild/errors'

/** How processes wait for each other; a test has times of its own. */
export interface TurnTimes {
  /** A lock that is older belongs to a process that was killed: nobody needs so long for one small file. */
  readonly staleMs: number
  /** Nobody waits longer. */
  readonly patienceMs: number
}

const usualTimes: TurnTimes = { staleMs: 10_000, patienceMs: 30_000 }
const pauseMs = 20

/**
 * Does something with a file while no other tsbuild does. A lock file lies beside it meanwhile: the file may be on a network file
 * system, where the kernel's locks may be of this machine alone.
 *
 * @throws {EnvironmentError} `ERR_OUTPUT` if the lock cannot be made, or others hold it for too long
 */
export async function withFileTurn<T>(path: string, act: () => Promise<T>, times = usualTimes): Promise<T> {
  const lock = `${path}.lock`
  const release = await acquire(path, lock, times)
  try {
    return await act()
  } finally {
    await release()
  }
}

async function acquire(path: string, lock: string, times: TurnTimes): Promise<() => Promise<void>> {
  const cannot = (why: string, options: object) =>
    new EnvironmentError('ERR_OUTPUT', `Cannot write "${path}": ${why}`, options)
  const started = performance.now()
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    for (;;) {
      const made = await create(lock)
      if (made !== undefined) return () => release(lock, made)
      await breakStale(lock, times.staleMs)
      if (performance.now() - started > times.patienceMs) break
      await delay(pauseMs)
    }
  } catch (cause) {
    throw cannot(`its lock "${lock}" cannot be made`, { cause })
  }
  throw cannot(`another process holds "${lock}"`, { hints: ['If none does, remove that file.'] })
}

/** @returns undefined where it is there already */
async function create(lock: string): Promise<string | undefined> {
  try {
    const file = await open(lock, 'wx', 0o600)
    try {
      return identityOf(await file.stat())
    } finally {
      await file.close()
    }
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return undefined
    throw error
  }
}

/** Takes away what a killed process left. Moved before it is removed, so that of several who do this one alone has it. */
async function breakStale(lock: string, staleMs: number): Promise<void> {
  const seen = await statIfThere(lock)
  if (seen === undefined || Date.now() - seen.mtimeMs < staleMs) return
  const moved = `${lock}.${randomBytes(6).toString('hex')}`
  try {
    await rename(lock, moved)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw error
  }
  const taken = await statIfThere(moved)
  // Somebody else was quicker, and this is the lock of who came next.
  if (taken !== undefined && identityOf(taken) !== identityOf(seen)) {
    await link(moved, lock).catch((error) => (isErrno(error, 'EEXIST') ? undefined : Promise.reject(error)))
  }
  await rm(moved, { force: true })
}

/** Only one's own: it may have been taken for a stale one, and be another's by now. */
async function release(lock: string, made: string): Promise<void> {
  const there = await statIfThere(lock)
  if (there !== undefined && identityOf(there) === made) await rm(lock, { force: true })
}

/** Numbers of inodes are used again at once. */
function identityOf({ ino, mtimeMs }: Stats): string {
  return `${ino} ${mtimeMs}`
}

async function statIfThere(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
