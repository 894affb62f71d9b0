import { UserError } from '@tsbuild/errors'
import { describe, expect, it, vi } from 'vitest'
import { createWorld, digestOf, type Step } from './testing/world.ts'

function withResolver() {
  let resolve = () => {}
  const promise = new Promise<void>((resume) => {
    resolve = resume
  })
  return { promise, resolve: () => resolve() }
}

const chain: readonly Step[] = [
  { name: 'base', source: { image: 1 } },
  { name: 'a', inputs: ['base'] },
  { name: 'b', inputs: ['a'] },
  { name: 'c', inputs: ['b'] },
]

describe('solve', () => {
  it('solve() runs every step once and nothing the second time', async () => {
    const world = createWorld()
    expect(await world.start(chain, 'c')).toMatchObject({ results: ['c'], executed: 3, cached: 0 })
    expect(world.runs).toEqual(['a', 'b', 'c'])
    expect(await world.start(chain, 'c')).toMatchObject({ results: ['c'], executed: 0, cached: 3 })
    expect(world.runs).toEqual([])
  })

  it('solve() makes several targets, in their order, and what they share once', async () => {
    const world = createWorld()
    const steps: readonly Step[] = [
      ...chain,
      { name: 'left', inputs: ['b'] },
      { name: 'right', inputs: ['b'] },
      { name: 'unwanted', inputs: ['a'] },
    ]
    const targets = ['right', 'left', 'b', 'right']
    expect(await world.start(steps, targets)).toMatchObject({ results: targets, executed: 4, cached: 0 })
    expect(world.runs.toSorted()).toEqual(['a', 'b', 'left', 'right'])
    expect(await world.start(steps, targets)).toMatchObject({ results: targets, executed: 0, cached: 4 })
  })

  it('solve() gives up all targets when one fails', async () => {
    const world = createWorld()
    const cancelled = vi.fn()
    const steps: readonly Step[] = [
      {
        name: 'fails',
        run: () => {
          throw new Error('no')
        },
      },
      {
        name: 'waits',
        run: (_, signal) =>
          new Promise((_resolve, reject) => {
            const stop = () => {
              cancelled()
              reject(new Error('aborted'))
            }
            if (signal.aborted) stop()
            else signal.addEventListener('abort', stop)
          }),
      },
    ]
    await expect(world.start(steps, ['waits', 'fails'])).rejects.toThrow('no')
    expect(cancelled).toHaveBeenCalledOnce()
  })

  it('solve() runs again what reads a changed source', async () => {
    const world = createWorld()
    await world.start(chain, 'c')
    const moved = chain.map((step) => (step.name === 'base' ? { ...step, source: { image: 2 } } : step))
    await world.start(moved, 'c')
    expect(world.runs).toEqual(['a', 'b', 'c'])
  })

  it('solve() never matches an older record below a forced run', async () => {
    const world = createWorld()
    await world.start(chain, 'c')
    const forced = chain.map((step) => (step.name === 'a' ? { ...step, ignoreCache: true } : step))
    await world.start(forced, 'c')
    expect(world.runs).toEqual(['a', 'b', 'c'])
    await world.start(chain, 'c')
    expect(world.runs).toEqual([])
    await world.start(forced, 'c')
    expect(world.runs).toEqual(['a', 'b', 'c'])
  })

  it('solve() runs a step again whose result is gone, and what was built upon it', async () => {
    const world = createWorld()
    await world.start(chain, 'c')
    const [stored] = [...world.records.values()]
      .filter((record) => record.name === 'a')
      .map((record) => record.stored)
    world.gone.add(stored as string)
    const aOnly = chain.slice(0, 2)
    await world.start(aOnly, 'a')
    expect(world.runs).toEqual(['a'])
    await world.start(chain, 'c')
    expect(world.runs).toEqual(['b', 'c'])
  })

  it('solve() puts no recorded layer upon a base that had to run again', async () => {
    const world = createWorld()
    await world.start(chain, 'c')
    const stored = [...world.records.values()].find((record) => record.name === 'a')?.stored
    world.gone.add(String(stored))
    await world.start(chain, 'c')
    expect(world.runs).toEqual(['a', 'b', 'c'])
    await world.start(chain, 'c')
    expect(world.runs).toEqual([])
  })

  it('solve() keeps what stands upon a pure step that had to run again', async () => {
    const world = createWorld()
    const steps = chain.map((step) => ({ ...step, pure: step.name === 'a' }))
    await world.start(steps, 'c')
    const stored = [...world.records.values()].find((record) => record.name === 'a')?.stored
    world.gone.add(String(stored))
    await world.start(steps, 'c')
    expect(world.runs).toEqual(['a'])
    await world.start(steps, 'c')
    expect(world.runs).toEqual([])
  })

  it('solve() matches by content when an input changed and what is read of it did not', async () => {
    const world = createWorld()
    const steps = (version: number): readonly Step[] => [
      { name: 'src', source: { version } },
      { name: 'build', inputs: ['src'], run: () => `same/${version}` },
      { name: 'copy', inputs: ['build'], readsContent: true, pure: true },
      { name: 'after', inputs: ['copy'] },
    ]
    await world.start(steps(1), 'after')
    expect(world.runs).toEqual(['build', 'copy', 'after'])
    await world.start(steps(2), 'after')
    expect(world.runs).toEqual(['build'])
    await world.start(steps(2), 'after')
    expect(world.runs).toEqual([])
  })

  it('solve() keys an unkeyed source by the content that is read', async () => {
    const world = createWorld()
    const steps = (content: string): readonly Step[] => [
      { name: 'context', source: 'unkeyed', run: () => content },
      { name: 'copy', inputs: ['context'], readsContent: true, pure: true },
    ]
    await world.start(steps('x/1'), 'copy')
    await world.start(steps('x/2'), 'copy')
    expect(world.runs).toEqual([])
    await world.start(steps('y/2'), 'copy')
    expect(world.runs).toEqual(['copy'])
  })

  it('solve() runs independent steps at the same time and a shared one once', async () => {
    const world = createWorld()
    let together = 0
    let most = 0
    const slow = async () => {
      most = Math.max(most, ++together)
      await new Promise((resume) => setImmediate(resume))
      together--
      return 'x'
    }
    const steps: readonly Step[] = [
      { name: 'shared' },
      { name: 'left', inputs: ['shared'], run: slow },
      { name: 'right', inputs: ['shared'], run: slow },
      { name: 'join', inputs: ['left', 'right'] },
    ]
    await world.start(steps, 'join')
    expect(world.runs.filter((name) => name === 'shared')).toHaveLength(1)
    expect(most).toBe(2)
  })

  it('solve() gives the first failure, cancels what runs, and records what had finished', async () => {
    const world = createWorld()
    const broken = new UserError('ERR_STEP_FAILED', 'broken')
    let aborted = false
    const steps: readonly Step[] = [
      { name: 'ok' },
      {
        name: 'fails',
        inputs: ['ok'],
        run: () => {
          throw broken
        },
      },
      {
        name: 'runs',
        inputs: ['ok'],
        run: (_, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              aborted = true
              reject(new Error('stopped'))
            })
          }),
      },
      { name: 'join', inputs: ['fails', 'runs'] },
    ]
    await expect(world.start(steps, 'join')).rejects.toMatchObject({ code: 'ERR_STEP_FAILED' })
    expect(aborted).toBe(true)
    const ends = world.events.filter(({ type }) => type === 'vertex.failed' || type === 'vertex.cancelled')
    expect(ends.map((event) => [event.type, 'vertex' in event && event.vertex])).toEqual([
      ['vertex.failed', digestOf('fails')],
      ['vertex.cancelled', digestOf('runs')],
    ])
    await world.start([{ name: 'ok' }], 'ok')
    expect(world.runs).toEqual([])
  })

  it('solve() rejects only when the commits of finished steps are done', async () => {
    const world = createWorld()
    const { promise: failed, resolve: fail } = withResolver()
    const steps: readonly Step[] = [
      {
        name: 'ok',
        beforeCommit: async () => {
          await failed
          await new Promise((resume) => setImmediate(resume))
        },
      },
      {
        name: 'fails',
        inputs: ['ok'],
        run: () => {
          fail()
          throw new UserError('ERR_STEP_FAILED', 'broken')
        },
      },
    ]
    await expect(world.start(steps, 'fails')).rejects.toMatchObject({ code: 'ERR_STEP_FAILED' })
    expect([...world.records.values()].map(({ name }) => name)).toEqual(['ok'])
  })

  it('solve() rejects with ERR_CANCELLED when its signal fires', async () => {
    const world = createWorld()
    const abort = new AbortController()
    const steps: readonly Step[] = [
      {
        name: 'a',
        run: (_, signal) => {
          const stopped = new Promise<string>((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason)),
          )
          abort.abort()
          return stopped
        },
      },
    ]
    await expect(world.start(steps, 'a', abort.signal)).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })

  it('solve() lets two solves at once run a step once', async () => {
    const world = createWorld()
    let count = 0
    const steps: readonly Step[] = [
      {
        name: 'a',
        run: async () => {
          count++
          await new Promise((resume) => setImmediate(resume))
          return 'a'
        },
      },
    ]
    await Promise.all([world.start(steps, 'a'), world.start(steps, 'a')])
    expect(count).toBe(1)
  })

  it('solve() sends one start and one end for each step that ran', async () => {
    const world = createWorld()
    await world.start(chain, 'c')
    const types = (name: string) =>
      world.events
        .filter((event) => 'vertex' in event && event.vertex === digestOf(name))
        .map(({ type }) => type)
    for (const name of ['a', 'b', 'c'])
      expect(types(name)).toEqual(['vertex.planned', 'vertex.started', 'vertex.completed'])
    await world.start(chain, 'c')
    expect(types('c')).toEqual(['vertex.planned', 'vertex.cached'])
  })

  it('solve() walks a chain of 3,000 steps, cold and cached', async () => {
    const world = createWorld()
    const steps = Array.from(
      { length: 3000 },
      (_, i): Step => ({ name: `s${i}`, inputs: i === 0 ? [] : [`s${i - 1}`] }),
    )
    expect(await world.start(steps, 's2999')).toMatchObject({ executed: 3000 })
    expect(await world.start(steps, 's2999')).toMatchObject({ executed: 0 })
  })
})
