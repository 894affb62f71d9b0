import { EnvironmentError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { LocalFailure, TransientFailure } from './failures.ts'
import { withRetry } from './retry.ts'

const trouble = new EnvironmentError('ERR_HTTP_UNREACHABLE', 'trouble')

/** Runs with pauses that are only noted. */
function setUp(options: { readonly attempts?: number; readonly maxAttempts?: number } = {}) {
  const pauses: number[] = []
  let attempts = 0
  const context = {
    settings: { attempts: options.attempts, baseDelayMs: 100 },
    random: () => 1,
    sleep: async (ms: number) => void pauses.push(ms),
  }
  const attempted = {
    what: 'fetch it',
    failureOf: () => new TransientFailure(trouble, { maxAttempts: options.maxAttempts }),
  }
  const run = <T>(body: (attempt: number, reset: () => void) => T, signal?: AbortSignal) =>
    withRetry(context, attempted, signal, async (tries) => body(++attempts, tries.reset))
  return { run, pauses, count: () => attempts }
}

const fail = () => {
  throw new Error('failed')
}

describe('withRetry()', () => {
  it('pauses twice as long each time, and throws the failure itself at the end', async () => {
    const { run, pauses } = setUp({ attempts: 4 })
    await expect(run(fail)).rejects.toBe(trouble)
    expect(pauses).toEqual([100, 200, 400])
  })

  it('tries no more often than the kind of failure is worth', async () => {
    const { run, count } = setUp({ maxAttempts: 2 })
    await expect(run(fail)).rejects.toBe(trouble)
    expect(count()).toBe(2)
  })

  it('counts anew after progress, but comes to an end', async () => {
    const { run, count } = setUp({ attempts: 2 })
    const progress = (_attempt: number, reset: () => void) => {
      reset()
      fail()
    }
    await expect(run(progress)).rejects.toBe(trouble)
    expect(count()).toBe(100)
  })

  it('throws what went wrong on this machine at once', async () => {
    const full = new Error('disk full')
    const { run, count } = setUp()
    await expect(run(() => Promise.reject(new LocalFailure(full)))).rejects.toBe(full)
    expect(count()).toBe(1)
  })

  it('ends with ERR_CANCELLED when the signal fires', async () => {
    const abort = new AbortController()
    const { run } = setUp()
    const aborting = () => {
      abort.abort()
      fail()
    }
    await expect(run(aborting, abort.signal)).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    await expect(run(() => 'ran', abort.signal)).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })
})
