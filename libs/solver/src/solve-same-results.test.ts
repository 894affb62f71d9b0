import { describe, expect, it } from 'vitest'
import { createWorld, digestOf, type Step } from './testing/world.ts'

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
