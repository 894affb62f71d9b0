import { describe, expect, it } from 'vitest'
import { Heap } from './heap.ts'
import { type PlanFacts, planPrune, targetBytes } from './plan.ts'
import { reasonText } from './reason-text.ts'
import { type ItemSpec, makeInventory } from './testing/make-inventory.ts'
import type { PrunePolicy } from './types.ts'
import { worthOf } from './value.ts'

const hour = 3_600_000
const day = 24 * hour
const now = 100 * day
const facts: PlanFacts = { now, freeBytes: 1e12 }
const blob = (id: string, bytes = 4096): ItemSpec => ({ id, kind: 'base', standing: { as: 'part' }, bytes })
const image = (id: string, ...parts: readonly string[]): ItemSpec => {
  return { id, kind: 'image', standing: { as: 'fixed', code: 'image' }, bytes: 0, parts }
}

/** The ids that go, in order, and for all others why they stay. */
function planned(
  specs: readonly ItemSpec[],
  policy: PrunePolicy,
  more: Partial<PlanFacts> & { readonly unreadable?: readonly string[] } = {},
) {
  const inventory = makeInventory(specs, more.unreadable)
  const plan = planPrune(inventory, policy, { ...facts, ...more })
  const removed = plan.order.map((index) => inventory.items[index]?.id)
  const kept = plan.decisions.flatMap(({ item, keep, reason }) => (keep ? [[item.id, reason.code]] : []))
  return { removed, kept: Object.fromEntries(kept) as Record<string, string>, plan }
}

describe('planPrune()', () => {
  it('removes everything that no image needs, each step before what it stands upon and its parts after it', () => {
    const { removed, kept } = planned(
      [
        { id: 'base' },
        { id: 'top', below: ['base'], parts: ['layer'] },
        blob('layer'),
        image('app:1.0', 'app'),
        blob('app'),
        { id: 'mount', kind: 'exec.cachemount', bytes: 1 },
      ],
      {},
    )
    expect(removed.filter((id) => id !== 'mount')).toEqual(['top', 'layer', 'base'])
    expect(removed).toContain('mount')
    expect(kept).toEqual({ 'app:1.0': 'fixed', app: 'image' })
  })

  it('keeps what a named image was built from, unless all is asked for', () => {
    const steps = [
      { id: 'one', parts: ['l1'] },
      { id: 'two', below: ['one'], parts: ['l2'] },
      { id: 'other', parts: ['l3'] },
      blob('l1'),
      blob('l2'),
      blob('l3'),
      image('app', 'l1', 'l2'),
    ]
    const without = planned(steps, {})
    expect(without.removed).toEqual(['other', 'l3'])
    expect(without.kept).toMatchObject({ one: 'image-step', two: 'image-step', l1: 'image' })
    const all = planned(steps, { reach: 'all' })
    expect(all.removed).toEqual(['other', 'l3', 'two', 'one'])
    expect(all.kept).toEqual({ l1: 'image', l2: 'image', app: 'fixed' })
  })

  it('does not take a step for one of an image only because both changed nothing', () => {
    const { removed } = planned(
      [
        { id: 'big', parts: ['bytes'] },
        { id: 'true', below: ['big'], parts: ['nothing'] },
        blob('bytes'),
        blob('nothing'),
        image('app', 'nothing'),
      ],
      {},
    )
    expect(removed).toEqual(['true', 'big', 'bytes'])
  })

  it('reaches failures and internal things with all, and history only to meet the limit of a store', () => {
    const items: readonly ItemSpec[] = [
      { id: 'failure', kind: 'failure' },
      { id: 'fingerprints', kind: 'internal' },
      { id: 'log', kind: 'history' },
      { id: 'new log', kind: 'history', usedMs: now - hour },
      { id: 'store', kind: 'internal', standing: { as: 'fixed', code: 'fixed' } },
    ]
    expect(planned(items, {}).removed).toEqual([])
    expect(planned(items, {}).kept).toMatchObject({ failure: 'reach', log: 'reach' })
    expect(planned(items, { reach: 'all' }).removed.toSorted()).toEqual(['failure', 'fingerprints'])
    const everything = planned(items, { reach: 'everything', maxUsedBytes: 0 })
    expect(everything.removed.toSorted()).toEqual(['failure', 'fingerprints', 'log'])
    expect(everything.kept).toEqual({ 'new log': 'recent', store: 'fixed' })
  })

  it('keeps what is in use and all that it stands upon', () => {
    const items = [
      { id: 'base' },
      { id: 'middle', below: ['base'] },
      { id: 'used', below: ['middle'] },
      { id: 'x' },
    ]
    const { removed, kept, plan } = planned(items, { reach: 'all' }, { inUse: new Set([2]) })
    expect(removed).toEqual(['x'])
    expect(kept).toEqual({ base: 'below', middle: 'below', used: 'in-use' })
    const text = plan.decisions.map(({ reason }) => reasonText(reason))
    expect(text).toEqual([
      'middle stands upon it',
      'used stands upon it',
      'in use by a build',
      'unused for 100 d',
    ])
  })

  it('keeps what was used lately, and what that stands upon', () => {
    const items = [
      { id: 'old base' },
      { id: 'new', below: ['old base'], usedMs: now - 3 * hour },
      { id: 'old', below: ['old base'], usedMs: now - 30 * hour },
    ]
    const { removed, kept, plan } = planned(items, { olderThanMs: day })
    expect(removed).toEqual(['old'])
    expect(kept).toEqual({ 'old base': 'below', new: 'recent' })
    expect(plan.decisions.map(({ reason }) => reasonText(reason))[1]).toBe('used 3 h ago, within 1 d')
  })

  it('removes garbage first, also where there is room', () => {
    const garbage: ItemSpec = { id: 'left', standing: { as: 'garbage', code: 'leftover' }, usedMs: now }
    expect(planned([{ id: 'a' }, garbage], { keepBytes: 1e9, olderThanMs: day }).removed).toEqual(['left'])
    expect(planned([{ id: 'a' }, garbage], { maxUsedBytes: 4096 }).removed).toEqual(['left'])
  })

  it('takes the least valuable leaf until the limit is met', () => {
    const items = [
      { id: 'slow', bytes: 1000_000, rebuildMs: 60_000 },
      { id: 'large', bytes: 5_000_000, rebuildMs: 60_000 },
      { id: 'quick', bytes: 1000_000, rebuildMs: 100 },
      { id: 'forgotten', bytes: 1000_000, rebuildMs: 60_000, usedMs: -800 * day },
    ]
    const order = ['quick', 'forgotten', 'large', 'slow']
    expect(planned(items, { maxUsedBytes: 0 }).removed).toEqual(order)
    const { removed, kept, plan } = planned(items, { maxUsedBytes: 6_000_000 })
    expect(removed).toEqual(order.slice(0, 2))
    expect(kept).toEqual({ slow: 'enough', large: 'enough' })
    expect(plan.freedBytes).toBe(2_000_000)
    expect(reasonText(plan.reasons.get(2) ?? { code: 'enough' })).toBe(
      'least valuable: 0.1 s to make again, 1MB, unused for 100 d',
    )
  })

  it('counts a part once, when the last that needs it goes', () => {
    const items = [{ id: 'a', parts: ['p'] }, { id: 'b', parts: ['p'] }, blob('p', 1_000_000)]
    const { plan, removed } = planned(items, { maxUsedBytes: 1_005_000 })
    expect([removed, plan.freedBytes]).toEqual([['a'], 4096])
    const all = planned(items, { maxUsedBytes: 900_000 })
    expect([all.removed, all.plan.freedBytes]).toEqual([['a', 'b', 'p'], 1_008_192])
  })

  it('deletes no blob while an image cannot be read', () => {
    const loose = { id: 'loose', entryKind: 'blob' } as const
    const items = [{ id: 'a', parts: ['p'] }, blob('p'), loose]
    const { removed, kept } = planned(items, { reach: 'all' }, { unreadable: ['app'] })
    expect(removed).toEqual(['a'])
    expect(kept).toEqual({ loose: 'image-unreadable', p: 'image-unreadable' })
  })

  it('plans with what is left of an inventory', () => {
    const items = [{ id: 'base' }, { id: 'top', below: ['base'] }]
    const { removed, kept } = planned(items, { maxUsedBytes: 0 }, { gone: new Set([1]) })
    expect([removed, kept]).toEqual([['base'], {}])
  })

  it('removes records that stand upon each other in a circle', () => {
    const items = [
      { id: 'a', below: ['b'] },
      { id: 'b', below: ['a'] },
      { id: 'c', below: ['d'] },
      { id: 'd', below: ['c'] },
      { id: 'kept', below: ['d'], usedMs: now },
    ]
    expect(planned(items, { olderThanMs: day }).removed).toEqual(['a', 'b'])
  })

  it('looks at each of twenty thousand records a fixed number of times', () => {
    const count = 20_000
    const specs = Array.from({ length: count }, (_, index) => {
      // Chains of twenty steps.
      const below = index % 20 === 0 ? [] : [`s${index - 1}`]
      return { id: `s${index}`, below, rebuildMs: (index * 7919) % 10_007, usedMs: (index * 104_729) % now }
    })
    let reads = 0
    const inventory = makeInventory(specs)
    const items = inventory.items.map((item) => {
      return Object.defineProperty({ ...item }, 'below', {
        get() {
          reads++
          return item.below
        },
      })
    })
    const { order } = planPrune({ ...inventory, items }, { maxUsedBytes: 0 }, facts)
    expect(order).toHaveLength(count)
    expect(reads).toBeLessThan(10 * count)
  }, 60_000)
})

describe('targetBytes()', () => {
  it.each<[PrunePolicy, number | undefined]>([
    [{}, undefined],
    [{ keepBytes: 10 }, 10],
    [{ maxUsedBytes: 60 }, 60],
    [{ maxUsedBytes: 60, keepBytes: 70 }, 70],
    [{ minFreeBytes: 40 }, 90],
    [{ minFreeBytes: 20 }, 100],
    [{ minFreeBytes: 40, maxUsedBytes: 80 }, 80],
    [{ minFreeBytes: 90, maxUsedBytes: 80 }, 40],
    [{ minFreeBytes: 1000, keepBytes: 25 }, 25],
    [{ minFreeBytes: 1000 }, 0],
  ])('of 100 bytes with 30 free, %j leaves %j', (policy, left) => {
    expect(targetBytes(policy, 100, 30)).toBe(left)
  })
})

describe('worthOf()', () => {
  it('is the time saved for each byte, and halves when a thing is unused for twice as long', () => {
    expect(worthOf(2000, 1e6, day) / worthOf(1000, 1e6, day)).toBe(2)
    expect(worthOf(1000, 1e6, day) / worthOf(1000, 2e6, day)).toBe(2)
    expect(worthOf(1000, 1e6, 10 * day) / worthOf(1000, 1e6, 20 * day)).toBeCloseTo(2, 2)
    // A clock that was set back.
    expect(worthOf(1000, 1e6, -day)).toBe(worthOf(1000, 1e6, 0))
  })
})

describe('Heap', () => {
  it('gives its values in order with at most 2 log2(n) comparisons for each', () => {
    let comparisons = 0
    const heap = new Heap<number>((a, b) => {
      comparisons++
      return a < b
    })
    const count = 4096
    for (let index = 0; index < count; index++) heap.push((index * 2654435761) % 1_000_003)
    const values = Array.from({ length: count }, () => heap.pop() ?? Number.NaN)
    expect(values).toEqual(values.toSorted((a, b) => a - b))
    expect(heap.pop()).toBeUndefined()
    expect(comparisons).toBeLessThan(count * (2 * Math.log2(count) + 4))
  })
})
