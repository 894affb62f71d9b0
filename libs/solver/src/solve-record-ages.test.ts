import { describe, expect, it } from 'vitest'
import { createWorld, type Step } from './testing/world.ts'

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
