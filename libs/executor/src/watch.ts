import { durationText, isBuildError, UserError } from '@tsbuild/errors'
import type { Staged } from '@tsbuild/native'

/** See {@link watch}. */
export interface WatchOptions {
  /** The caller's own. */
  readonly signal: AbortSignal | undefined
  /** Fires when what the process shares with others is gone; its reason is the error to give. */
  readonly lost: AbortSignal
  readonly timeoutMs: number | undefined
  /** The process, for the message. */
  readonly command: string
}

/**
 * Runs a process that ends when the caller gives up, when what it needs is gone, and when its time is over. The time of
 * what follows its result is not counted.
 *
 * @throws {UserError} (the promises) `ERR_TIMEOUT`
 */
export function watch(options: WatchOptions, run: (signal: AbortSignal) => Staged<'run'>): Staged<'run'> {
  const { signal, lost, timeoutMs, command } = options
  const late = new AbortController()
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => late.abort(), timeoutMs)
  const signals = [lost, late.signal, ...(signal === undefined ? [] : [signal])]
  const explain = (error: unknown) => {
    if (signal?.aborted === true) return error
    if (lost.aborted) return lost.reason
    return late.signal.aborted && isCancelled(error) ? tooLate(command, timeoutMs ?? 0) : error
  }
  const explained = <T>(promise: Promise<T>) =>
    promise.catch((error) => {
      throw explain(error)
    })
  const { outcome, content, finished } = run(AbortSignal.any(signals))
  return {
    outcome: explained(outcome.finally(() => clearTimeout(timer))),
    content: explained(content),
    finished: explained(finished),
  }
}

function isCancelled(error: unknown): boolean {
  return isBuildError(error) && error.code === 'ERR_CANCELLED'
}

function tooLate(command: string, timeoutMs: number): UserError {
  const limit = durationText(timeoutMs)
  return new UserError('ERR_TIMEOUT', `Cannot finish process "${command}": it ran for longer than ${limit}`, {
    hints: ['The limit is that of `--step-timeout`.'],
  })
}
