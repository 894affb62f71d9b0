import type { Digest } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import type { CacheRecord, PlannedStep } from './index.ts'
import { withElsewhere } from './testing/elsewhere.ts'
import { createWorld, type Step, type World } from './testing/world.ts'

/** A world that finds what another one recorded. */
function worldOf(other: World) {
  const world = createWorld(1000)
  const asked: string[] = []
  const here = {
    load: (key: Digest) => world.records.get(key),
    link: (key: Digest, record: CacheRecord) => void world.records.set(key, record),
  }
  Object.assign(
    world.more,
    withElsewhere(here, (key) => other.records.get(key), asked),
  )
  return { ...world, asked }
}

const chain: readonly Step[] = [
  { name: 'base', source: { image: 1 } },
  { name: 'files', source: 'unkeyed' },
  { name: 'a', inputs: ['base'] },
  { name: 'copy', inputs: ['files'], readsContent: true },
  { name: 'b', inputs: ['a', 'copy'] },
  { name: 'view', view: true, inputs: ['b'] },
  { name: 'c', inputs: ['view'] },
]

const cachedFrom = ({ events }: World) =>
  events.flatMap((event) => (event.type === 'vertex.cached' ? [`${event.from} ${event.cache}`] : []))

describe('solve() with a cache elsewhere', () => {
  it('asks once for the whole graph, and runs nothing of what it finds', async () => {
    const one = createWorld()
    const made = await one.start(chain, 'c')
    const other = worldOf(one)
    expect(await other.start(chain, 'c')).toMatchObject({ results: made.results, executed: 0 })
    expect(other.runs).toEqual([])
    expect(other.asked).toEqual(['prepare a copy b view c'])
    expect(new Set(cachedFrom(other))).toEqual(new Set(['remote elsewhere']))
  })

  it('reads the content that counts once, before it asks', async () => {
    const one = createWorld()
    await one.start(chain, 'c')
    const other = worldOf(one)
    await other.start(chain, 'c')
    expect(other.counts.contents).toBe(1)
  })

  it('asks for what stands upon a step that had to run, when it has run', async () => {
    const digests = chain.map((step) => ({ ...step, digestsLayer: true }))
    const one = createWorld()
    await one.start(digests, 'c')
    // The machine makes `a` in another way, and the same.
    const other = worldOf(one)
    const changed = digests.map((step) =>
      step.name === 'a' ? { ...step, text: 'a, but longer', run: () => 'a' } : step,
    )
    await other.start(changed, 'c')
    expect(other.runs).toEqual(['a'])
    expect(other.asked).toEqual(['prepare a copy b view c', 'ask a', 'ask b', 'ask c'])
  })

  it('asks by content for a step whose input had to run', async () => {
    const reads: readonly Step[] = [
      { name: 'base', source: { image: 1 } },
      { name: 'made', inputs: ['base'], run: () => 'same/1' },
      { name: 'reads', inputs: ['made'], readsContent: true },
    ]
    const one = createWorld()
    await one.start(reads, 'reads')
    const other = worldOf(one)
    const changed = reads.map((step) =>
      step.name === 'made' ? { ...step, text: 'otherwise', run: () => 'same/2' } : step,
    )
    await other.start(changed, 'reads')
    expect(other.runs).toEqual(['made'])
  })

  it('never asks for a forced step, nor for what only its run can tell', async () => {
    const one = createWorld()
    await one.start(chain, 'c')
    for (const force of [{ ignoreCache: true }, { maxAgeMs: 0 }]) {
      const other = worldOf(one)
      await other.start(
        chain.map((step) => (step.name === 'a' ? { ...step, ...force } : step)),
        'c',
      )
      expect(other.runs).toEqual(['a', 'b', 'c'])
      expect(other.asked[0]).toBe('prepare copy')
      expect(other.asked).not.toContain('ask a')
    }
  })

  it('takes no record that is older than the step takes, and a younger one from elsewhere before it', async () => {
    const aged = (maxAgeMs: number) =>
      chain.slice(0, 3).map((step) => (step.name === 'a' ? { ...step, maxAgeMs } : step))
    const one = createWorld()
    one.clock.now = 10_000
    await one.start(aged(5000), 'a')
    const old = worldOf(one)
    old.clock.now = 20_000
    await old.start(aged(5000), 'a')
    expect(old.runs).toEqual(['a'])
    const young = worldOf(one)
    await young.start(aged(5000), 'a')
    expect(young.runs).toEqual(['a'])
    young.clock.now = 12_000
    await young.start(aged(5000), 'a')
    expect([young.runs, cachedFrom(young)]).toEqual([[], ['remote elsewhere']])
  })

  it('plans sources, contents and steps as they count', async () => {
    const plans: (readonly PlannedStep[])[] = []
    const world = createWorld()
    world.more.prepare = async (steps) => void plans.push(steps)
    await world.start(chain, 'c')
    const [steps = []] = plans
    expect(
      steps.map(({ vertex, kind, inputs }) => [vertex.name, kind, inputs.map((input) => input.kind)]),
    ).toEqual([
      ['a', 'step', ['source']],
      ['copy', 'step', ['content']],
      ['b', 'step', ['step', 'step']],
      ['view', 'view', ['step']],
      ['c', 'step', ['step']],
    ])
  })

  it('fails as before where content cannot be read, and asks for the rest', async () => {
    const plans: string[][] = []
    const world = createWorld()
    world.more.prepare = async (steps) => void plans.push(steps.map(({ vertex }) => vertex.name))
    const unreadable = chain.map((step) =>
      step.name === 'files' ? { ...step, run: () => Promise.reject(new Error('no such file')) } : step,
    )
    await expect(world.start(unreadable, 'c')).rejects.toThrow('no such file')
    expect(plans).toEqual([['a']])
  })

  it('steps() tells of every step that ran or was found, also of those that nobody needed', async () => {
    const world = createWorld()
    const steps: readonly Step[] = [...chain, { name: 'reader', inputs: ['c'], readsContent: true }]
    const first = await world.start(steps, 'reader')
    const again = await world.start(steps, 'reader')
    expect(world.runs).toEqual([])
    const told = await again.steps()
    expect(told.map(({ vertex }) => vertex.name)).toEqual(['a', 'copy', 'b', 'c', 'reader'])
    expect(told.map(({ keys }) => keys)).toEqual((await first.steps()).map(({ keys }) => keys))
    for (const { keys, record } of told)
      for (const key of keys)
        expect(world.records.get(key)?.outputKey ?? record.outputKey).toBe(record.outputKey)
  })
})
