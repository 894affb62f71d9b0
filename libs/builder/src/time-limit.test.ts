import { digestBytes } from '@tsbuild/digest'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startTimeLimit } from './time-limit.ts'

const vertices = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => digestBytes(name))

/** A limit of a minute, and a build in which as many steps have started and ended. */
function limitWith({ started, ended }: { readonly started: number; readonly ended: number }) {
  const limit = startTimeLimit(60_000)
  for (const [index, vertex] of vertices.entries()) {
    limit.note({ type: 'vertex.planned', vertex, name: `RUN ${index}`, inputs: [], source: null, at: 0 })
    if (index < started) limit.note({ type: 'vertex.started', vertex, at: 1 })
    if (index < ended) limit.note({ type: 'vertex.completed', vertex, at: 2 })
  }
  return limit
}

describe('startTimeLimit()', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it.each([
    [{ started: 2, ended: 1 }, 'still running: "RUN 1"'],
    [{ started: 7, ended: 1 }, 'still running: "RUN 1", "RUN 2", "RUN 3", "RUN 4", 2 more'],
    [{ started: 0, ended: 0 }, 'its time is over'],
  ])('startTimeLimit() fires with ERR_TIMEOUT and what is running: %j', (steps, state) => {
    const { signal } = limitWith(steps)
    vi.advanceTimersByTime(59_999)
    expect(signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(signal.reason).toMatchObject({
      code: 'ERR_TIMEOUT',
      kind: 'user',
      message: `Cannot finish the build in 1m: ${state}`,
    })
  })

  it('startTimeLimit() never fires when the build has ended', () => {
    const limit = limitWith({ started: 1, ended: 1 })
    limit.stop()
    vi.advanceTimersByTime(120_000)
    expect(limit.signal.aborted).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })
})
