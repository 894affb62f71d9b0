import { UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { createWorld, type Step } from './testing/world.ts'

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
