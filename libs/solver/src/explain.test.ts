import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import type { CacheRecord, Miss } from './index.ts'
import { createWorld, digestOf, type Step, type World } from './testing/world.ts'

/** A world that notes the misses and says of each what step it is. */
function explaining() {
  const misses: Miss[] = []
  const noted: { readonly keys: readonly string[]; readonly record: CacheRecord }[] = []
  const world = createWorld()
  world.more.explain = async (miss) => {
    misses.push(miss)
    return { code: 'first-build', text: miss.vertex.name }
  }
  world.more.recorded = (keys, record) => void noted.push({ keys, record })
  return { world, misses, noted }
}

const chain: readonly Step[] = [
  { name: 'base', source: { image: 1 } },
  { name: 'a', inputs: ['base'] },
  { name: 'b', inputs: ['a'] },
]
const reader: readonly Step[] = [
  { name: 'files', source: 'unkeyed', run: () => 'read/unread' },
  { name: 'copy', inputs: ['files'], readsContent: true, pure: true },
]
const typesOf = (world: World, name: string) =>
  world.events.flatMap((event) => ('vertex' in event && event.vertex === digestOf(name) ? [event.type] : []))

describe('the reason of a miss', () => {
  it('is asked for once for each step that runs, inputs first, and sent before its start', async () => {
    const { world, misses } = explaining()
    await world.start(chain, 'b')
    expect(misses.map(({ vertex }) => vertex.name)).toEqual(['a', 'b'])
    expect(typesOf(world, 'b').slice(0, 3)).toEqual(['vertex.planned', 'vertex.missed', 'vertex.started'])
    expect(typesOf(world, 'base')).not.toContain('vertex.missed')
  })

  it('is not asked for what is found', async () => {
    const { world, misses } = explaining()
    await world.start(chain, 'b')
    misses.length = 0
    await world.start(chain, 'b')
    expect([misses, world.lists]).toEqual([[], []])
    expect(typesOf(world, 'b')).toEqual(['vertex.planned', 'vertex.cached'])
  })

  it('comes with what the step is looked up by, and with the record that does not count', async () => {
    const { world, misses } = explaining()
    await world.start(chain, 'b')
    const [miss] = misses
    expect(miss).toMatchObject({
      op: { name: 'a' },
      about: { step: 'a' },
      inputs: [{ kind: 'source', key: { image: 1 } }],
      inputNames: ['base'],
      unusable: undefined,
    })
    const [key] = miss?.keys ?? []
    const record = key === undefined ? undefined : world.records.get(key)
    if (typeof record?.stored !== 'string') throw new TypeError('there is no record')
    world.gone.add(record.stored)
    misses.length = 0
    await world.start(chain, 'b')
    expect(misses[0]?.unusable).toEqual({ record, why: 'gone' })
  })

  it('is not sent where nobody can say', async () => {
    const { world } = explaining()
    world.more.explain = async () => undefined
    await world.start(chain, 'b')
    expect(typesOf(world, 'b')).not.toContain('vertex.missed')
    delete world.more.explain
    await world.start([...chain, { name: 'c', inputs: ['b'] }], 'c')
    expect(typesOf(world, 'c')).not.toContain('vertex.missed')
  })
})

describe('the lists of what a step reads', () => {
  it('are kept once for a step that runs, also where the explanation asked for one', async () => {
    const { world } = explaining()
    world.more.explain = async (miss) => {
      await miss.keepList(0)
      await miss.keepList(0)
      await miss.keepList(7)
      return undefined
    }
    await world.start(reader, 'copy')
    expect(world.lists).toEqual([digestBytes('read')])
    await world.start(reader, 'copy')
    expect(world.lists).toHaveLength(1)
  })

  it('cost a step nothing that cannot keep them', async () => {
    const { world } = explaining()
    const steps = reader.map((step) => (step.name === 'copy' ? { ...step, name: 'without list' } : step))
    await expect(world.start(steps, 'without list')).resolves.toMatchObject({ executed: 1 })
    expect(world.lists).toHaveLength(1)
  })

  it('are in the events, by input', async () => {
    const { world } = explaining()
    const reads = [{ input: digestOf('files'), content: digestBytes('read') }]
    await world.start(reader, 'copy')
    expect(world.events.find(({ type }) => type === 'vertex.missed')).toMatchObject({ reads })
    await world.start(reader, 'copy')
    expect(world.events.find(({ type }) => type === 'vertex.cached')).toMatchObject({ reads })
  })
})

describe('a record', () => {
  it('is noted when it is durable, with the names of its inputs and how long it took', async () => {
    const { world, noted } = explaining()
    let durable = false
    const beforeCommit = async () => {
      durable = true
    }
    const slow = { name: 'a', inputs: ['base'], beforeCommit }
    world.more.recorded = (keys, record) => {
      expect(durable).toBe(true)
      noted.push({ keys, record })
    }
    await world.start([...chain.slice(0, 1), slow], 'a')
    expect(noted).toHaveLength(1)
    const [{ keys = [], record } = {}] = noted
    expect(record).toMatchObject({ name: 'a', inputNames: ['base'], about: { step: 'a' } })
    expect(keys.map((key) => world.records.get(key as Miss['keys'][number]))).toEqual([record])
    await world.start([...chain.slice(0, 1), slow], 'a')
    expect(world.events.find(({ type }) => type === 'vertex.cached')).toMatchObject({
      savedMs: record?.durationMs,
    })
    expect(noted).toHaveLength(1)
  })
})
