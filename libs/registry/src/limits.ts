import type { Readable } from 'node:stream'
import { cancelled } from '@tsbuild/http'
import pLimit, { type LimitFunction } from 'p-limit'

/** How many calls are under way to each registry. */
export interface Limits {
  /** Runs a call when it is its turn; rejects at once with `ERR_CANCELLED` when the signal fires, also while it waits. */
  run<T>(registry: string, signal: AbortSignal | undefined, body: () => Promise<T>): Promise<T>
  /** As `run`, but the place stays taken until the stream has closed. */
  hold(registry: string, signal: AbortSignal | undefined, open: () => Promise<Readable>): Promise<Readable>
  /** A registry that is asked too much is asked half as much at a time; answers to requests that were under way count once. */
  throttled(registry: string): void
}

interface Limit {
  readonly enter: LimitFunction
  /** Calls that have ended well since the limit last changed. */
  successes: number
  /** When it was last halved, in milliseconds since the epoch. */
  halvedAt: number
}

/** Answers that come this soon after one another are to requests that were sent together. */
const burstMs = 1000

/**
 * Makes limits. After a halving, each round of as many successful calls as may be under way lets one more in, up to
 * `concurrency` again.
 */
export function createLimits(concurrency: number, now: () => number): Limits {
  const limits = new Map<string, Limit>()
  const limitOf = (registry: string): Limit => {
    const known = limits.get(registry) ?? {
      enter: pLimit({ concurrency, rejectOnClear: true }),
      successes: 0,
      halvedAt: Number.NEGATIVE_INFINITY,
    }
    limits.set(registry, known)
    return known
  }
  const succeeded = (limit: Limit) => {
    if (limit.enter.concurrency >= concurrency || ++limit.successes < limit.enter.concurrency) return
    limit.successes = 0
    limit.enter.concurrency++
  }
  const enter = <T>(
    registry: string,
    signal: AbortSignal | undefined,
    body: (done: (value: T) => void) => Promise<void>,
  ) =>
    new Promise<T>((resolve, reject) => {
      const abort = () => reject(cancelled(`ask ${registry}`))
      if (signal?.aborted) return abort()
      signal?.addEventListener('abort', abort, { once: true })
      const leave = () => signal?.removeEventListener('abort', abort)
      const limit = limitOf(registry)
      limit
        .enter(() => (signal?.aborted ? Promise.resolve() : body(resolve)))
        .then(
          () => {
            leave()
            succeeded(limit)
          },
          (error: unknown) => {
            leave()
            reject(error)
          },
        )
    })
  return {
    run: (registry, signal, body) => enter(registry, signal, async (done) => done(await body())),
    hold: (registry, signal, open) =>
      enter<Readable>(registry, signal, async (done) => {
        const stream = await open()
        done(stream)
        await new Promise<void>((closed) => stream.once('close', closed))
      }),
    throttled: (registry) => {
      const limit = limitOf(registry)
      limit.successes = 0
      if (now() - limit.halvedAt < burstMs) return
      limit.halvedAt = now()
      limit.enter.concurrency = Math.max(1, Math.floor(limit.enter.concurrency / 2))
    },
  }
}
