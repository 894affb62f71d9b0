import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { InternalError } from '@tsbuild/errors'
import { errnoOf, type HeldRange, rangeOf, tryRangeLock } from '@tsbuild/store'
import { cancelled, onDisk, throwIfCancelled } from '../failures.ts'
import type { ObjectKey, ObjectSource, PutExpectation } from '../types.ts'
import { assertSize, bytesOf, isSourceFile, Verifier } from '../verify.ts'
import type { FsLayout } from './layout.ts'

const sessionName = /^[0-9a-f]{32}$/

/** What objects on their way in are made with. */
export interface TemporariesOptions {
  readonly now: () => number
  /** 32 lowercase hex digits. */
  readonly randomId: () => string
  readonly durability: 'full' | 'none'
}

/** A file that has all its bytes, verified and durable, and not yet its name. */
export interface Staged {
  readonly path: string
  readonly size: number
  /** As {@link versionOf} gives it. */
  readonly version: string
}

/**
 * The objects that one opening of the store has on their way in: a directory of its own, whose byte of `locks/sessions` is locked
 * from before it appears until it is gone. One whose byte is free was left by a process that died.
 */
export class Temporaries {
  readonly #directory: string
  readonly #lock: HeldRange
  readonly #options: TemporariesOptions

  constructor(directory: string, lock: HeldRange, options: TemporariesOptions) {
    this.#directory = directory
    this.#lock = lock
    this.#options = options
  }

  /**
   * Writes, verifies and syncs the bytes of an object. A file of the caller's stays where it is.
   * @throws {UserError} `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_CANCELLED`
   */
  async stage(
    key: ObjectKey,
    source: ObjectSource,
    expected: PutExpectation,
    signal?: AbortSignal,
  ): Promise<Staged> {
    if (isSourceFile(source)) return this.#adopt(key, source, expected)
    const verifier = new Verifier(key, expected)
    if (source instanceof Uint8Array) {
      verifier.update(source)
      verifier.finish()
      return this.stageValue(source)
    }
    return this.#write((file, path) => writeAll(file, path, source, verifier, signal))
  }

  /** As {@link stage}, for bytes that are expected to be nothing else. */
  stageValue(value: Uint8Array): Promise<Staged> {
    return this.#write((file, path) => onDisk('write', path, () => file.writeFile(value)))
  }

  /** As {@link stage}, for a file on another file system. */
  async copy(key: ObjectKey, path: string, expected: PutExpectation, signal?: AbortSignal): Promise<Staged> {
    const file = await onDisk('read', path, () => open(path, 'r'))
    return this.stage(key, file.createReadStream({ highWaterMark: 1024 * 1024 }), expected, signal)
  }

  async #adopt(
    key: ObjectKey,
    source: { readonly path: string; readonly size: number },
    expected: PutExpectation,
  ): Promise<Staged> {
    const { path } = source
    return await onDisk('store file', path, async () => {
      const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW)
      try {
        const { size } = await file.stat()
        assertSize(key, size, source)
        assertSize(key, size, expected)
        return await this.#settle(file, path)
      } finally {
        await file.close()
      }
    })
  }

  async #write(fill: (file: FileHandle, path: string) => Promise<void>): Promise<Staged> {
    const path = join(this.#directory, this.#options.randomId())
    const file = await onDisk('write', path, () => open(path, 'wx', 0o600))
    try {
      await fill(file, path)
      return await onDisk('write', path, () => this.#settle(file, path))
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
  }

  /** A sync that failed is not tried again: the file is given up. */
  async #settle(file: FileHandle, path: string): Promise<Staged> {
    const seconds = secondsOf(this.#options.now())
    await file.utimes(seconds, seconds)
    if (this.#options.durability === 'full') await file.datasync()
    const stat = await file.stat({ bigint: true })
    return { path, size: Number(stat.size), version: versionOf(stat) }
  }

  /** Removes what is left; the lock goes last. */
  async close(): Promise<void> {
    try {
      await onDisk('clear', this.#directory, () => rm(this.#directory, { recursive: true, force: true }))
    } finally {
      this.#lock.release()
    }
  }
}

/** Begins a session, after those of processes that have died are cleared away. */
export async function openTemporaries(layout: FsLayout, options: TemporariesOptions): Promise<Temporaries> {
  await sweep(layout)
  const id = options.randomId()
  if (!sessionName.test(id))
    throw new InternalError('ERR_INTERNAL', `Cannot use id ${JSON.stringify(id)}: expected 32 hex digits`)
  const lock = tryRangeLock(layout.lock('sessions'), rangeOf(id))
  if (lock === undefined)
    throw new InternalError('ERR_INTERNAL', `Cannot begin session ${id}: its id is in use`)
  const directory = join(layout.temporary, id)
  try {
    await onDisk('make directory', directory, () => mkdir(directory, 0o700))
  } catch (error) {
    lock.release()
    throw error
  }
  return new Temporaries(directory, lock, options)
}

async function sweep(layout: FsLayout): Promise<void> {
  await onDisk('clear', layout.temporary, async () => {
    for (const name of await readdir(layout.temporary)) {
      if (!sessionName.test(name)) continue
      const lock = tryRangeLock(layout.lock('sessions'), rangeOf(name))
      if (lock === undefined) continue
      try {
        await rm(join(layout.temporary, name), { recursive: true, force: true })
      } finally {
        lock.release()
      }
    }
  })
}

/**
 * Which file it is, of all that ever had its name. Inode numbers are used again, so the time of birth belongs to it; whoever takes a
 * file's name away keeps the file open for a tick of that clock. Changes of the times of the file do not change it.
 */
export function versionOf(stat: {
  readonly ino: bigint
  readonly birthtimeNs: bigint
  readonly size: bigint
}): string {
  return `${stat.ino.toString(36)}.${stat.birthtimeNs.toString(36)}.${stat.size.toString(36)}`
}

/** Failures of the source leave as they are: a broken connection is none of the disk's. */
async function writeAll(
  file: FileHandle,
  path: string,
  source: Readable,
  verifier: Verifier,
  signal: AbortSignal | undefined,
): Promise<void> {
  throwIfCancelled(signal, 'store object')
  const abort = () => source.destroy(signal === undefined ? undefined : cancelled(signal, 'store object'))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    for await (const chunk of source) {
      const bytes = bytesOf(chunk)
      verifier.update(bytes)
      await onDisk('write', path, () => file.writeFile(bytes))
    }
    throwIfCancelled(signal, 'store object')
    verifier.finish()
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** Whether a file cannot be linked to because it is on another file system. */
export function isElsewhere(error: unknown): boolean {
  return errnoOf(error) === 'EXDEV'
}

/** For `utimes`, whose fractions of a second are rounded: the middle of the millisecond stays in it. */
export function secondsOf(unixMs: number): number {
  return (Math.floor(unixMs) + 0.5) / 1000
}
