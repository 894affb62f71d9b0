import { setTimeout as delay } from 'node:timers/promises'
import { cancelled, LocalFailure, networkFailure, type Purpose, TransientFailure } from './failures.ts'
import type { RetrySettings } from './types.ts'

const maxPauseMs = 60_000

/** Clock, chance and patience, all injected. */
export interface RetryContext {
  readonly settings: RetrySettings
  readonly random: () => number
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>
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
  purpose: Purpose,
  signal: AbortSignal | undefined,
  attempt: (tries: Tries) => Promise<T>,
): Promise<T> {
  const wanted = context.settings.attempts ?? 6
  let count = 0
  for (let total = 1; ; total++) {
    count++
    if (signal?.aborted) throw cancelled(purpose.what)
    const tries: Tries = {
      current: count,
      reset: () => {
        count = 0
      },
    }
    try {
      return await attempt(tries)
    } catch (error) {
      if (signal?.aborted) throw cancelled(purpose.what)
      if (error instanceof LocalFailure) throw error.cause
      const failure = networkFailure(error, purpose)
      if (!(failure instanceof TransientFailure)) throw failure
      if (count >= Math.min(wanted, failure.maxAttempts) || total >= maxTriesInAll) throw failure.failure
      await pause(context, signal, pauseMs(context, count, failure.retryAfterMs), purpose)
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
  purpose: Purpose,
): Promise<void> {
  try {
    await context.sleep(ms, signal)
  } catch (error) {
    throw signal?.aborted ? cancelled(purpose.what) : error
  }
}
