import { closeSync, constants, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { errnoOf, onDiskSync, unlessErrnoSync } from './fs-failure.ts'

/** A held lock. */
export interface HeldRange {
  release(): void
}

/** Nobody else holds the byte, or nobody else holds it exclusively. */
export type RangeAccess = 'exclusive' | 'shared'

/**
 * Takes the kernel lock of one byte of a file if nobody is in the way. The file is made if missing; the byte need not
 * exist. The lock belongs to this one opening of the file (an "open file description" lock), so it also excludes
 * other holders in this process, and the kernel releases it when the process ends in whatever way.
 *
 * @param offset below 2^53
 * @returns undefined where somebody else holds it
 * @see https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html
 */
export function tryRangeLock(
  path: string,
  offset: number,
  access: RangeAccess = 'exclusive',
): HeldRange | undefined {
  return onDiskSync('lock', path, () => {
    loaded ??= loadCalls()
    const calls = loaded
    const fd = openLocks(path, access)
    if (fd === undefined) return { release: () => {} }
    try {
      if (calls.tryLock(fd, offset, access)) return { release: () => release(calls, fd, offset) }
    } catch (error) {
      closeSync(fd)
      throw asSystemError(error)
    }
    closeSync(fd)
    return undefined
  })
}

/**
 * On a read-only file system a shared lock is one of a file that is opened for reading. Where there is no such file nobody
 * can hold it otherwise: undefined.
 */
function openLocks(path: string, access: RangeAccess): number | undefined {
  const writable = () => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  if (access === 'exclusive') return writable()
  return (
    unlessErrnoSync(['EROFS'], writable) ??
    unlessErrnoSync(['ENOENT'], () => openSync(path, constants.O_RDONLY))
  )
}

/**
 * Shared locks on any number of bytes of one file, all with one opening of it. They do not exclude each other or those of
 * other openings; exclusive ones they do.
 */
export class SharedRanges {
  readonly #path: string
  readonly #calls: LockCalls
  readonly #fd: number
  readonly #held = new Set<number>()

  /** The file is made if missing. */
  constructor(path: string) {
    this.#path = path
    loaded ??= loadCalls()
    this.#calls = loaded
    this.#fd = onDiskSync('lock', path, () => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
  }

  /** @returns false where somebody holds the byte exclusively */
  hold(offset: number): boolean {
    if (this.#held.has(offset)) return true
    const held = onDiskSync('lock', this.#path, () => {
      try {
        return this.#calls.tryLock(this.#fd, offset, 'shared')
      } catch (error) {
        throw asSystemError(error)
      }
    })
    if (held) this.#held.add(offset)
    return held
  }

  /** Lets go of every byte. As in {@link HeldRange.release}, unlocking comes first. */
  close(): void {
    try {
      if (this.#held.size > 0) this.#calls.unlockAll(this.#fd)
    } finally {
      this.#held.clear()
      closeSync(this.#fd)
    }
  }
}

/**
 * Whether somebody holds a byte exclusively. Asks with a shared lock of an instant, on a file opened for reading: nothing is
 * written, so it works on a read-only file system.
 */
export function isRangeHeld(path: string, offset: number): boolean {
  return onDiskSync('look at lock', path, () => {
    const fd = unlessErrnoSync(['ENOENT'], () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK))
    if (fd === undefined) return false
    try {
      loaded ??= loadCalls()
      if (!loaded.tryLock(fd, offset, 'shared')) return true
      loaded.unlock(fd, offset)
      return false
    } catch (error) {
      throw asSystemError(error)
    } finally {
      closeSync(fd)
    }
  })
}

/** The byte that stands for a name: 52 bits of its hash, which a JavaScript number and an `off_t` both hold. */
export function rangeOf(hashHex: string): number {
  return Number.parseInt(hashHex.slice(0, 13), 16)
}

/** Unlocks before closing: a child between its fork and its exec has a copy of the descriptor. */
function release(calls: LockCalls, fd: number, offset: number): void {
  try {
    calls.unlock(fd, offset)
  } finally {
    closeSync(fd)
  }
}

/** On one byte. */
interface LockCalls {
  tryLock(fd: number, offset: number, access: RangeAccess): boolean
  unlock(fd: number, offset: number): void
  /** Of this opening. */
  unlockAll(fd: number): void
}

/** Every offset that {@link rangeOf} gives is below it. */
const wholeRange = 2 ** 52

let loaded: LockCalls | undefined

/**
 * Loading fs-native-extensions through its main file searches the disk for 10 ms; its prebuilt addon loads in 2 ms. So
 * the addon is tried first, and the main file where a platform has none at the known place.
 */
function loadCalls(): LockCalls {
  const require = createRequire(import.meta.url)
  const addon = loadAddon(require)
  if (addon === undefined) {
    const main = withLockCalls<LockModule>(require('fs-native-extensions'))
    return {
      tryLock: (fd, offset, access) => main.tryLock(fd, offset, 1, { shared: access === 'shared' }),
      unlock: (fd, offset) => main.unlock(fd, offset, 1),
      unlockAll: (fd) => main.unlock(fd, 0, wholeRange),
    }
  }
  return {
    tryLock: (fd, offset, access) => {
      try {
        addon.tryLock(fd, offset, 1, access === 'exclusive')
        return true
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return false
        throw error
      }
    },
    unlock: (fd, offset) => addon.unlock(fd, offset, 1),
    unlockAll: (fd) => addon.unlock(fd, 0, wholeRange),
  }
}

interface LockModule {
  tryLock(fd: number, offset: number, length: number, options: { readonly shared: boolean }): boolean
  unlock(fd: number, offset: number, length: number): void
}

interface LockAddon {
  tryLock(fd: number, offset: number, length: number, exclusive: boolean): void
  unlock(fd: number, offset: number, length: number): void
}

function loadAddon(require: NodeJS.Require): LockAddon | undefined {
  try {
    const home = dirname(require.resolve('fs-native-extensions/package.json'))
    const platform = `${process.platform}-${process.arch}`
    return withLockCalls<LockAddon>(require(join(home, 'prebuilds', platform, 'fs-native-extensions.node')))
  } catch {
    return undefined
  }
}

function withLockCalls<T extends LockModule | LockAddon>(loadedModule: unknown): T {
  if (
    typeof loadedModule === 'object' &&
    loadedModule !== null &&
    'tryLock' in loadedModule &&
    typeof loadedModule.tryLock === 'function' &&
    'unlock' in loadedModule &&
    typeof loadedModule.unlock === 'function'
  ) {
    return loadedModule as T
  }
  throw new TypeError('fs-native-extensions has no tryLock and unlock')
}

/** The addon's errors have a code and no system call; {@link errnoOf} wants both. */
function asSystemError(error: unknown): unknown {
  if (error instanceof Error && errnoOf(error) === undefined)
    return Object.assign(error, { syscall: 'fcntl' })
  return error
}
