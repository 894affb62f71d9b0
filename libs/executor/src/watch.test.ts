import { UserError } from '@tsbuild/errors'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type FakeRun, succeeded } from './testing/fake-native.ts'
import { executorOver } from './testing/process.ts'

/** A process that ends when it is told to, as the helper reports it. */
const endless = ({ options }: FakeRun) =>
  new Promise<never>((_, reject) => {
    const stop = () => reject(new UserError('ERR_CANCELLED', 'The build was cancelled'))
    options.signal?.addEventListener('abort', stop)
  })

describe('run() with a time limit', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('run() rejects with ERR_TIMEOUT, the process and the limit when it takes longer', async () => {
    const { run } = executorOver({ run: endless }, { processTimeoutMs: 90_000 })
    const ended = expect(run()).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      message: 'Cannot finish process "/bin/sh -c x": it ran for longer than 1m30s',
    })
    await vi.advanceTimersByTimeAsync(90_000)
    await ended
  })

  it('run() does not count what follows the result', async () => {
    const { run, runs } = executorOver({}, { processTimeoutMs: 90_000 })
    expect(await run()).toBe(succeeded)
    await vi.advanceTimersByTimeAsync(90_000)
    expect(runs[0]?.options.signal?.aborted).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('run() rejects with ERR_CANCELLED when the caller was first', async () => {
    const { run } = executorOver({ run: endless }, { processTimeoutMs: 90_000 })
    const abort = new AbortController()
    const ended = expect(run({}, abort)).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    await vi.advanceTimersByTimeAsync(1000)
    abort.abort()
    await ended
    expect(vi.getTimerCount()).toBe(0)
  })

  it('run() rejects with ERR_CANCELLED while the session is being made', async () => {
    const { run, runs } = executorOver()
    await expect(run({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(runs).toEqual([])
  })
})
