import type { Readable } from 'node:stream'
import { cancelled } from '@tsbuild/http'
import type { LimitFunction } from 'p-limit'
import pLimit from 'p-limit'

/** Bounds how many calls are under way to each registry. */
export interface Limits {
  /** The caller's promise settles at once when its signal fires, also while it waits for its turn. */
  run<T>(registry: string, signal: AbortSignal | undefined, body: () => Promise<T>): Promise<T>
  /** As `run`, but the slot stays taken until the stream has closed. */
  hold(registry: string, signal: AbortSignal | undefined, open: () => Promise<Readable>): Promise<Readable>
  /** A registry that is asked too much is asked half as much at a time. */
  halve(registry: string): void
}

/** Makes limits; each registry begins with `concurrency`. */
export function createLimits(concurrency: number): Limits {
  const limits = new Map<string, LimitFunction>()
  const limitOf = (registry: string): LimitFunction => {
    const known = limits.get(registry) ?? pLimit({ concurrency, rejectOnClear: true })
    limits.set(registry, known)
    return known
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
      limitOf(registry)(() => (signal?.aborted ? Promise.resolve() : body(resolve))).then(
        leave,
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
    halve: (registry) => {
      const limit = limitOf(registry)
      limit.concurrency = Math.max(1, Math.floor(limit.concurrency / 2))
    },
  }
}
