import { setTimeout as delay } from 'node:timers/promises'
import type { BuildError } from '@tsbuild/errors'
import { cancelled, LocalFailure, TransientFailure } from './failures.ts'
import type { RetrySettings } from './types.ts'

const maxPauseMs = 60_000

/** Clock, chance and patience, all injected. */
export interface RetryContext {
  readonly settings: RetrySettings
  readonly random: () => number
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

/** What is tried, and what its failures are. */
export interface Attempted {
  /** As a verb with its object, for messages: `pull debian:12`. */
  readonly what: string
  /** Gives an error its class: final, or worth another try. Errors of ours come back as they are. */
  failureOf(error: unknown): BuildError | TransientFailure
}

/** Counts the tries of one operation. */
export interface Tries {
  /** From 1. */
  readonly current: number
  /** Something was achieved: the count begins anew. */
  reset(): void
}

/** However much progress there is between faults, an operation ends. */
const maxTriesInAll = 100

/**
 * Runs `attempt` until it succeeds, fails for good, or has failed too often. Pauses double from the base, half of each
 * random so that agents do not come back all at once; what the server asks for is obeyed up to a minute.
 *
 * @throws {UserError} `ERR_CANCELLED` when the signal fires, and the last failure
 */
export async function withRetry<T>(
  context: RetryContext,
  attempted: Attempted,
  signal: AbortSignal | undefined,
  attempt: (tries: Tries) => Promise<T>,
): Promise<T> {
  const wanted = context.settings.attempts ?? 6
  let count = 0
  for (let total = 1; ; total++) {
    count++
    if (signal?.aborted) throw cancelled(attempted.what)
    const tries: Tries = {
      current: count,
      reset: () => {
        count = 0
      },
    }
    try {
      return await attempt(tries)
    } catch (error) {
      if (signal?.aborted) throw cancelled(attempted.what)
      if (error instanceof LocalFailure) throw error.cause
      const failure = attempted.failureOf(error)
      if (!(failure instanceof TransientFailure)) throw failure
      if (count >= Math.min(wanted, failure.maxAttempts) || total >= maxTriesInAll) throw failure.failure
      await pause(context, signal, pauseMs(context, count, failure.retryAfterMs), attempted.what)
    }
  }
}

/** The pause that timers give. */
export async function sleepFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, signal === undefined ? {} : { signal })
}

function pauseMs(context: RetryContext, failures: number, asked: number | undefined): number {
  if (asked !== undefined) return Math.min(asked, maxPauseMs)
  const full = Math.min((context.settings.baseDelayMs ?? 500) * 2 ** Math.max(0, failures - 1), maxPauseMs)
  return Math.round(full / 2 + (full / 2) * context.random())
}

async function pause(
  context: RetryContext,
  signal: AbortSignal | undefined,
  ms: number,
  what: string,
): Promise<void> {
  try {
    await context.sleep(ms, signal)
  } catch (error) {
    throw signal?.aborted ? cancelled(what) : error
  }
}
