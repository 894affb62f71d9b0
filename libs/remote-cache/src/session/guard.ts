import { setMaxListeners } from 'node:events'
import { EnvironmentError, isBuildError, redact } from '@tsbuild/errors'

/** What every cache of a build is watched with. */
export interface GuardOptions {
  /** Shows a warning. */
  readonly warn: (message: string) => void
  /** The build says that a cache that fails fails it. */
  readonly required: boolean
}

/** How long something may take, and what is said where it takes longer. */
export interface TimeLimit {
  /** None is left where it is 0 or less: nothing is begun then. */
  readonly ms: number
  readonly why: string
}

/**
 * One cache elsewhere, and whether it can still be counted on. The first failure is said once; then nobody asks it any more: a build
 * without its caches is slower, and no less right.
 */
export interface Guard {
  readonly name: string
  readonly isAlive: boolean
  /**
   * Does something with the cache that must not take long.
   *
   * @returns undefined where the cache failed, now or before
   * @throws {EnvironmentError} `ERR_CACHE` where the build needs its caches; what `body` throws when `signal` fires
   */
  ask<T>(
    body: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
    limit: TimeLimit,
  ): Promise<T | undefined>
  /** Something is wrong that leaves the rest of the cache usable: said once. @throws {EnvironmentError} `ERR_CACHE` */
  complain(error: unknown): void
  /** It is not asked any more. @throws {EnvironmentError} `ERR_CACHE` */
  fail(error: unknown): void
}

/** Makes the guard of one cache. @param direction what the build wants of it */
export function createGuard(name: string, direction: 'from' | 'to', { warn, required }: GuardOptions): Guard {
  let isAlive = true
  let isSaid = false
  const complain = (error: unknown, ending: string) => {
    const reason = error instanceof Error ? redact(error.message) : String(error)
    if (required) throw failureOf(direction, name, reason, error)
    if (isSaid) return
    isSaid = true
    warn(
      `${direction === 'from' ? 'Cache' : 'Cache export to'} "${redact(name)}" ${ending}: ${withHints(reason, error)}`,
    )
  }
  const fail = (error: unknown) => {
    isAlive = false
    complain(error, direction === 'from' ? 'is not used any further' : 'is given up')
  }
  return {
    name,
    get isAlive() {
      return isAlive
    },
    async ask(body, signal, limit) {
      if (!isAlive) return undefined
      try {
        return await within(body, signal, limit)
      } catch (error) {
        if (signal.aborted) throw error
        fail(error)
        return undefined
      }
    },
    complain: (error) => complain(error, 'is not what it says'),
    fail,
  }
}

function failureOf(direction: 'from' | 'to', name: string, reason: string, cause: unknown) {
  const what = direction === 'from' ? 'use the cache' : 'export the cache to'
  const hints = [
    ...hintsOf(cause).map((hint) => `${hint}.`),
    'Without `--cache-required` the build goes on without it.',
  ]
  return new EnvironmentError('ERR_CACHE', `Cannot ${what} "${redact(name)}": ${reason}`, {
    hints,
    cause: isBuildError(cause) ? cause : undefined,
  })
}

/** A warning is one line: what helps stands behind what happened. */
function withHints(reason: string, error: unknown): string {
  return [reason, ...hintsOf(error)].join('. ')
}

function hintsOf(error: unknown): readonly string[] {
  return isBuildError(error) ? error.hints.map((hint) => redact(hint).replace(/\.$/, '')) : []
}

/** Whoever does not listen to the signal is not waited for either. */
async function within<T>(
  body: (signal: AbortSignal) => Promise<T>,
  outer: AbortSignal,
  { ms, why }: TimeLimit,
): Promise<T> {
  outer.throwIfAborted()
  const slow = new EnvironmentError('ERR_CACHE', why)
  if (ms <= 0) throw slow
  const late = new AbortController()
  const signal = AbortSignal.any([outer, late.signal])
  setMaxListeners(0, signal)
  const working = body(signal)
  working.catch(() => {})
  return await new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      late.abort(slow)
      reject(slow)
    }, ms)
    const onAbort = () => reject(outer.reason)
    outer.addEventListener('abort', onAbort, { once: true })
    const end = () => {
      clearTimeout(timer)
      outer.removeEventListener('abort', onAbort)
    }
    working.then(resolve, reject).finally(end)
  })
}
