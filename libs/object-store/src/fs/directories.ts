import { constants } from 'node:fs'
import { open, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf } from '@tsbuild/store'
import { diskFailure } from '../failures.ts'

/** Directories that are remembered to be durable; more are forgotten, oldest first, and synced again. */
const mostKnown = 100_000

/**
 * The directories of objects: makes, syncs and removes them. Callers that want the same directory synced share one call: a sync that
 * has begun covers only the names given before it, so everybody who comes meanwhile gets the next one.
 */
export class Directories {
  readonly #objects: string
  readonly #durable: boolean
  readonly #syncs = new Map<string, { running: Promise<void>; next: Promise<void> | undefined }>()
  /** Directories whose own names are known to be durable, and which file that was. */
  readonly #known = new Map<string, string>()
  #broken: unknown

  /** @param objects whose own name is durable */
  constructor(objects: string, durability: 'full' | 'none') {
    this.#objects = objects
    this.#durable = durability === 'full'
  }

  /**
   * Makes the names in a directory durable, and the directory itself.
   *
   * After one sync that failed every call fails: the kernel reports lost writes once and then forgets them, so a later sync that
   * succeeds proves nothing. A directory that could not be opened, for want of descriptors, was not asked to be synced: only that
   * call fails.
   *
   * @throws {EnvironmentError} `ERR_STORE_IO`
   */
  sync(path: string): Promise<void> {
    if (!this.#durable) return Promise.resolve()
    const under = this.#syncs.get(path)
    if (under === undefined) return this.#start(path)
    under.next ??= under.running.then(
      () => this.#start(path),
      () => this.#start(path),
    )
    return under.next
  }

  #start(path: string): Promise<void> {
    const running = this.#syncNow(path)
    const entry = { running, next: undefined }
    this.#syncs.set(path, entry)
    const done = () => {
      if (this.#syncs.get(path) === entry && entry.next === undefined) this.#syncs.delete(path)
    }
    running.then(done, done)
    return running
  }

  async #syncNow(path: string): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    try {
      const identity = await this.#syncOne(path)
      if (identity !== undefined && this.#known.get(path) === identity) return
      // A directory that somebody made, here or in another process: those above may not know it durably yet.
      if (path !== this.#objects) await this.sync(dirname(path))
      if (identity !== undefined) this.#remember(path, identity)
    } catch (error) {
      // It is gone, so nothing in it can be lost: what the caller put there was deleted since.
      if (errnoOf(error) === 'ENOENT') return
      throw diskFailure(error, 'make durable', path)
    }
  }

  /**
   * @returns which directory it was: inode numbers are used again, together with the time of birth they are not; undefined where
   *   the file system does not know that
   */
  async #syncOne(path: string): Promise<string | undefined> {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      const { ino, birthtimeNs } = await directory.stat({ bigint: true })
      await directory.sync().catch((error: unknown) => {
        this.#broken ??= diskFailure(error, 'make durable', path)
        throw this.#broken
      })
      if (birthtimeNs === 0n) return undefined
      return `${ino}.${birthtimeNs}`
    } finally {
      await directory.close()
    }
  }

  #remember(path: string, identity: string): void {
    this.#known.delete(path)
    this.#known.set(path, identity)
    if (this.#known.size <= mostKnown) return
    const [oldest] = this.#known.keys()
    if (oldest !== undefined) this.#known.delete(oldest)
  }

  /** Removes a directory if it is empty, and then those above it. Who puts something there meanwhile makes them again. */
  async prune(path: string): Promise<void> {
    for (let at = path; at !== this.#objects; at = dirname(at)) {
      try {
        await rmdir(at)
      } catch {
        // It is not empty, or not there: both is as it should be.
        return
      }
      this.#known.delete(at)
    }
  }
}
