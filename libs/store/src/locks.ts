import { setTimeout as delay } from 'node:timers/promises'
import { UserError } from '@tsbuild/errors'
import type { Holders } from './holders.ts'
import { shortHash } from './layout.ts'
import { type HeldRange, type RangeAccess, rangeOf, tryRangeLock } from './range-lock.ts'
import type { LockOptions, Locks } from './types.ts'

const firstDelayMs = 10
const longestDelayMs = 50
const defaultNoticeMs = 5_000

/**
 * {@link Locks} as bytes of one file: a name's hash is its offset. Two names with one byte (1 in 2^52) only
 * wait for each other. Within the process the callers of one name queue, so only one of them asks the kernel.
 */
export class FileLocks implements Locks {
  readonly #path: string
  readonly #holders: Holders | undefined
  /** A name is in the map while it is held; the value is who comes next. */
  readonly #queues = new Map<string, (() => void)[]>()

  /** @param path the lock file, made when the first lock is taken */
  constructor(path: string, holders?: Holders) {
    this.#path = path
    this.#holders = holders
  }

  async withLock<T>(name: string, body: () => Promise<T>, options: LockOptions = {}): Promise<T> {
    await this.#enter(name, options.signal)
    try {
      const onWait = () => options.onWait?.(this.#holders?.find(name))
      const held = await acquireRange(this.#path, name, 'exclusive', { ...options, onWait })
      const { label } = options
      const forget = label === undefined ? undefined : this.#holders?.note(name, label)
      try {
        return await body()
      } finally {
        forget?.()
        held.release()
      }
    } finally {
      this.#leave(name)
    }
  }

  #enter(name: string, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(cancelled(name, signal))
    const queue = this.#queues.get(name)
    if (queue === undefined) {
      this.#queues.set(name, [])
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        queue.splice(queue.indexOf(enter), 1)
        reject(cancelled(name, signal))
      }
      const enter = () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }
      queue.push(enter)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  #leave(name: string): void {
    const next = this.#queues.get(name)?.shift()
    if (next === undefined) this.#queues.delete(name)
    else next()
  }
}

/**
 * Takes the lock of a name, a byte of the file, as soon as nobody is in the way. Polls: the kernel's waiting call would hold
 * a thread of the pool for each lock, and could not be aborted.
 *
 * @throws {UserError} `ERR_CANCELLED`
 */
export async function acquireRange(
  path: string,
  name: string,
  access: RangeAccess,
  { signal, onWait, waitNoticeMs = defaultNoticeMs }: LockOptions,
): Promise<HeldRange> {
  const offset = rangeOf(shortHash(name))
  let delayMs = firstDelayMs
  let waitedMs = 0
  for (;;) {
    if (signal?.aborted) throw cancelled(name, signal)
    const held = tryRangeLock(path, offset, access)
    if (held !== undefined) return held
    await pause(delayMs, name, signal)
    const before = waitedMs
    waitedMs += delayMs
    if (before < waitNoticeMs && waitedMs >= waitNoticeMs) onWait?.()
    delayMs = Math.min(delayMs * 1.5, longestDelayMs)
  }
}

async function pause(ms: number, name: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal })
  } catch {
    throw cancelled(name, signal)
  }
}

function cancelled(name: string, signal: AbortSignal | undefined): UserError {
  return new UserError('ERR_CANCELLED', `Cannot wait for lock ${JSON.stringify(name)}: cancelled`, {
    cause: signal?.reason,
  })
}
