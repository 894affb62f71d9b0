import { describe, expect, it } from 'vitest'
import { createWorld, type Step } from './testing/world.ts'

const many = 5000
const timeout = 60_000

const name = (at: number) => `s${at}`
const below = (at: number) => (at === 0 ? [] : [name(at - 1)])
const steps = (make: (at: number) => Step) => Array.from({ length: many }, (_, at) => make(at))
/** Results that do not grow with the number of steps below. */
const run = () => 'made'

describe('solve() and graphs of many vertices', () => {
  it.each([
    ['steps', { run }],
    ['pure steps', { run, pure: true }],
    ['steps that read content', { run, readsContent: true }],
  ])(
    'solve() runs a chain of %s, and finds it with one look at each',
    async (_, kind) => {
      const world = createWorld()
      const chain = steps((at) => ({ name: name(at), inputs: below(at), ...kind }))
      await (await world.start(chain, name(many - 1))).durable
      expect(world.runs).toHaveLength(many)
      const again = await world.start(chain, name(many - 1))
      expect(again).toMatchObject({ executed: 0 })
      expect(world.counts.loads).toBeLessThanOrEqual(2 * many)
    },
    timeout,
  )

  it(
    'solve() combines views upon views',
    async () => {
      const world = createWorld()
      const source: Step = { name: name(0), source: 'base' }
      const chain = steps((at) => (at === 0 ? source : { name: name(at), inputs: below(at), view: true }))
      const step: Step = { name: 'top', inputs: [name(many - 1)], run }
      await (await world.start([...chain, step], 'top')).durable
      expect(world.runs).toEqual(['top'])
    },
    timeout,
  )

  it(
    'solve() reads for thousands of steps a few at a time',
    async () => {
      const world = createWorld()
      const wide = steps((at) =>
        at === 0 ? { name: name(0), run } : { name: name(at), inputs: [name(0)], readsContent: true, run },
      )
      const last: Step = { name: 'last', inputs: wide.map((step) => step.name), run }
      await (await world.start([...wide, last], 'last')).durable
      expect(world.counts.contents).toBeGreaterThanOrEqual(many - 1)
      // Each is a process. As many as steps may run are read while those run.
      expect(world.readers.now).toBe(0)
      expect(world.readers.most).toBeLessThanOrEqual(4 + 6 + 4)
    },
    timeout,
  )

  it(
    'solve() runs one step upon thousands, and thousands upon one',
    async () => {
      const world = createWorld()
      const wide = steps((at) => ({ name: name(at), inputs: at === 0 ? [] : [name(0)], run }))
      const last: Step = { name: 'last', inputs: wide.map((step) => step.name), run }
      const all = [...wide, last]
      await (await world.start(all, 'last')).durable
      expect(world.runs).toHaveLength(many + 1)
      // Each is an open file.
      expect(world.locks).toEqual({ held: 0, most: 4 + 32 })
      expect(await world.start(all, 'last')).toMatchObject({ executed: 0 })
    },
    timeout,
  )
})
