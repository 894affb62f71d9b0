import { describe, expect, it } from 'vitest'
import { createWorld, digestOf, type Step } from './testing/world.ts'

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
