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

describe('solve() and results that are the same again', () => {
  const steps = (text: string, change: Partial<Step> = {}): readonly Step[] => [
    { name: 'base', source: { image: 1 } },
    { name: 'a', text, inputs: ['base'], run: () => 'same', digestsLayer: true, ...change },
    { name: 'b', inputs: ['a'], digestsLayer: true },
    { name: 'c', inputs: ['b'] },
  ]

  it('solve() runs nothing above a step that was changed and made the same', async () => {
    const world = createWorld()
    await world.start(steps('1'), 'c')
    await world.start(steps('2'), 'c')
    expect(world.runs).toEqual(['a'])
    await world.start(steps('3', { run: () => 'other' }), 'c')
    expect(world.runs).toEqual(['a', 'b', 'c'])
  })

  it('solve() runs all above a forced step although it made the same, and finds that the next time', async () => {
    const world = createWorld()
    await world.start(steps('1'), 'c')
    await world.start(steps('1', { ignoreCache: true }), 'c')
    expect(world.runs).toEqual(['a', 'b', 'c'])
    await world.start(steps('1'), 'c')
    expect(world.runs).toEqual([])
  })

  it('solve() says of a forced pure step that it made what was recorded', async () => {
    const world = createWorld()
    const copies = (text: string, ignoreCache = true): readonly Step[] => [
      { name: 'context', source: 'unkeyed', run: () => text },
      { name: 'copy', inputs: ['context'], readsContent: true, pure: true, ignoreCache },
      { name: 'run', inputs: ['copy'], ignoreCache },
    ]
    const unchanged = () =>
      world.events.flatMap((event) =>
        event.type === 'vertex.completed' && event.unchanged ? [event.vertex] : [],
      )
    await world.start(copies('x'), 'run')
    expect(unchanged()).toEqual([])
    await world.start(copies('x'), 'run')
    expect(unchanged()).toEqual([digestOf('copy')])
    await world.start(copies('y'), 'run')
    expect(unchanged()).toEqual([])
    await world.start(copies('z', false), 'run')
    expect(unchanged()).toEqual([])
  })

  it('solve() takes what the second of two ways to one result recorded', async () => {
    const world = createWorld()
    await world.start(steps('1'), 'c')
    const stored = [...world.records.values()].find(({ name }) => name === 'b')?.stored
    world.gone.add(String(stored))
    await world.start(steps('2'), 'c')
    expect(world.runs).toEqual(['a', 'b'])
  })

  it('solve() never mixes a step that ran again with what was made of its earlier result', async () => {
    const world = createWorld()
    let made = 0
    const graph = (extra: string): readonly Step[] => [
      { name: 'build', run: () => `app${made}/lib` },
      { name: 'app', inputs: ['build'], readsContent: true, pure: true, run: ([read]) => `copied ${read}` },
      {
        name: 'lib',
        text: extra,
        inputs: ['build'],
        readsContent: true,
        pure: true,
        run: ([read]) => `${read}`,
      },
      { name: 'both', inputs: ['app', 'lib'], view: true },
    ]
    await world.start(graph('1'), 'both')
    for (const record of world.records.values())
      if (record.name === 'build') world.gone.add(String(record.stored))
    made++
    const { results, cached, executed } = await world.start(graph('2'), 'both')
    expect(results).toEqual(['copied app1/lib+app1/lib'])
    expect([cached, executed]).toEqual([0, 3])
  })
})

describe('solve() and the age of records', () => {
  const aged = (maxAgeMs: number | undefined): readonly Step[] => [
    { name: 'a', digestsLayer: true, ...(maxAgeMs === undefined ? {} : { maxAgeMs }) },
    { name: 'b', inputs: ['a'] },
  ]

  it('solve() takes a record that is young enough, and runs a step again when it is not', async () => {
    const world = createWorld()
    await world.start(aged(1_000), 'b')
    world.clock.now += 900
    await world.start(aged(1_000), 'b')
    expect(world.runs).toEqual([])
    world.clock.now += 900
    await world.start(aged(1_000), 'b')
    // Forced: what stands upon it runs too, though it made the same.
    expect(world.runs).toEqual(['a', 'b'])
    await world.start(aged(1_000), 'b')
    expect(world.runs).toEqual([])
  })

  it('solve() takes no record of the future where the age counts', async () => {
    const world = createWorld()
    world.clock.now = 1_000_000
    await world.start(aged(1_000), 'b')
    world.clock.now = 0
    await world.start(aged(undefined), 'b')
    expect(world.runs).toEqual([])
    await world.start(aged(1_000), 'b')
    expect(world.runs).toEqual(['a', 'b'])
  })

  it('solve() takes no record of a step at age 0, and records it for who takes one', async () => {
    const world = createWorld()
    await world.start(aged(0), 'b')
    await world.start(aged(0), 'b')
    expect(world.runs).toEqual(['a', 'b'])
    await world.start(aged(undefined), 'b')
    expect(world.runs).toEqual([])
  })
})

describe('solve() of large graphs', { timeout: 60_000 }, () => {
  const chainOf = (length: number, step: (index: number) => Partial<Step>): readonly Step[] =>
    Array.from({ length }, (_, index) => ({
      name: `s${index}`,
      inputs: index === 0 ? [] : [`s${index - 1}`],
      ...step(index),
    }))

  it('solve() reads one record for each step and looks at each result once', async () => {
    const world = createWorld()
    const steps = chainOf(2000, () => ({ digestsLayer: true }))
    await world.start(steps, 's1999')
    await world.start(steps, 's1999')
    expect(world.counts).toEqual({ loads: 2000, restores: 2000, contents: 0 })
  })

  it('solve() walks 10,000 steps and 10,000 views one upon the other', async () => {
    const world = createWorld()
    const steps = chainOf(10_000, () => ({}))
    expect(await world.start(steps, 's9999')).toMatchObject({ executed: 10_000 })
    expect(await world.start(steps, 's9999')).toMatchObject({ executed: 0 })
    const views = chainOf(10_000, (index) => (index === 0 ? {} : { view: true as const }))
    expect(await world.start(views, 's9999')).toMatchObject({ results: ['s0'] })
  })

  it('solve() fails 10,000 steps deep with the error of the first', async () => {
    const world = createWorld()
    const run = () => {
      throw new UserError('ERR_STEP_FAILED', 'broken')
    }
    const steps = chainOf(10_000, (index) => (index === 0 ? { run } : {}))
    await expect(world.start(steps, 's9999')).rejects.toMatchObject({ code: 'ERR_STEP_FAILED' })
  })

  it('solve() makes 500 stages and a fan-in of 200, each step once', async () => {
    const world = createWorld()
    const stages = Array.from({ length: 500 }, (_, index): readonly Step[] => [
      { name: `first${index}`, inputs: ['base'] },
      { name: `second${index}`, inputs: [`first${index}`] },
    ]).flat()
    const groups = Array.from({ length: 200 }, (_, index): Step => {
      const inputs = [0, 1, 2].map((offset) => `second${(index * 3 + offset) % 500}`)
      return { name: `group${index}`, inputs: [...new Set(inputs)], readsContent: true, pure: true }
    })
    const all: readonly Step[] = [
      { name: 'base', source: { image: 1 } },
      ...stages,
      ...groups,
      { name: 'join', inputs: groups.map(({ name }) => name), readsContent: true, pure: true },
    ]
    expect(await world.start(all, 'join')).toMatchObject({ executed: 500 * 2 + 200 + 1 })
    expect(new Set(world.runs).size).toBe(world.runs.length)
    expect(await world.start(all, 'join')).toMatchObject({ executed: 0, cached: 1 })
    // The copy at the end is found by what its inputs count as: none of them is brought back for it.
    expect(world.counts.restores).toBe(1)
  })
})

describe('solve() with a view', () => {
  const merged = (change: Partial<Step> = {}): readonly Step[] => [
    { name: 'base', source: { image: 1 } },
    { name: 'stage', inputs: ['base'], ...change },
    { name: 'link', pure: true },
    { name: 'merge', inputs: ['stage', 'link'], view: true },
    { name: 'next', inputs: ['merge'] },
  ]

  it('solve() puts the results of its inputs together, and neither runs nor records it', async () => {
    const world = createWorld()
    expect(await world.start(merged(), 'merge')).toMatchObject({ results: ['stage+link'], executed: 2 })
    expect([...world.records.values()].map(({ name }) => name).toSorted()).toEqual(['link', 'stage'])
    expect(await world.start(merged(), 'merge')).toMatchObject({
      results: ['stage+link'],
      executed: 0,
      cached: 2,
    })
  })

  it('solve() says of it that it is a view, and of nothing else', async () => {
    const world = createWorld()
    await world.start(merged(), 'merge')
    const views = world.events.flatMap((event) =>
      event.type === 'vertex.planned' && event.view === true ? [event.vertex] : [],
    )
    expect(views).toEqual([digestOf('merge')])
  })

  it('solve() finds what stands upon it by what its inputs count as', async () => {
    const world = createWorld()
    await world.start(merged(), 'next')
    expect(world.runs.toSorted()).toEqual(['link', 'next', 'stage'])
    expect(await world.start(merged(), 'next')).toMatchObject({ executed: 0, cached: 3 })
  })

  it('solve() runs again what stands upon it when an input gave another result, and nothing beside', async () => {
    const world = createWorld()
    await world.start(merged(), 'next')
    await world.start(merged({ ignoreCache: true }), 'next')
    expect(world.runs.toSorted()).toEqual(['next', 'stage'])
    await world.start(merged(), 'next')
    expect(world.runs).toEqual([])
  })

  it('solve() puts nothing recorded upon it when an input is gone and had to run again', async () => {
    const world = createWorld()
    await world.start(merged(), 'next')
    const stored = [...world.records.values()].find(({ name }) => name === 'stage')?.stored
    world.gone.add(String(stored))
    await world.start(merged(), 'next')
    expect(world.runs.toSorted()).toEqual(['next', 'stage'])
  })

  it('solve() tells the order of its inputs apart', async () => {
    const world = createWorld()
    await world.start(merged(), 'next')
    const swapped = merged().map((step) =>
      step.name === 'merge' ? { ...step, inputs: ['link', 'stage'] } : step,
    )
    expect(await world.start(swapped, 'next')).toMatchObject({ executed: 1, cached: 2 })
  })

  it('solve() sends one start and one end for it', async () => {
    const world = createWorld()
    await world.start(merged(), 'merge')
    const types = world.events.flatMap((event) =>
      'vertex' in event && event.vertex === digestOf('merge') ? [event.type] : [],
    )
    expect(types).toEqual(['vertex.planned', 'vertex.started', 'vertex.completed'])
  })
})
