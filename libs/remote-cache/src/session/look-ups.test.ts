import { EnvironmentError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { chainOf, toolsOf } from '../testing/contract.ts'
import { createMemoryCache, type MemoryCache } from '../testing/memory-cache.ts'
import { createGuard } from './guard.ts'
import { createLookUps, keysOf, lookUpMs, planAll } from './look-ups.ts'
import { createFoundRecords } from './merge-found.ts'
import { createWaitBudget } from './wait-budget.ts'

const signal = new AbortController().signal
const graph = { vertices: [], targets: [] }
const nothing = () => undefined

function guarded(cache: MemoryCache, { required = false, now = (): number => 0 } = {}) {
  const warnings: string[] = []
  const guard = createGuard(cache.name, 'from', { warn: (message) => warnings.push(message), required })
  return { importer: cache.importer(), guard, budget: createWaitBudget(lookUpMs, now), warnings }
}

/** A cache with some of the steps of a chain. */
async function cacheWith(name: string, chain: ReturnType<typeof chainOf>, has: (index: number) => boolean) {
  const cache = createMemoryCache(name)
  const exporter = cache.exporter(toolsOf(chain))
  await exporter.finish({ graph, steps: chain.steps.filter((_, index) => has(index)) })
  cache.calls.length = 0
  return cache
}

function deferred() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}

/** Its steps, as they are looked up late. */
function wantedOf({ steps, planned }: ReturnType<typeof chainOf>) {
  return steps.flatMap(({ keys: [key], record: { op, inputs } }, index) => {
    const vertex = planned[index]?.vertex
    return key === undefined || vertex === undefined ? [] : [{ key, vertex, op, inputs, inputNames: [''] }]
  })
}

describe('planAll()', () => {
  it('follows a chain that alternates between two caches to its end, and asks no more then', async () => {
    const chain = chainOf(['a', 'b', 'c', 'd', 'e', 'f'])
    const left = await cacheWith('left', chain, (index) => index % 2 === 0)
    const right = await cacheWith('right', chain, (index) => index % 2 === 1)
    const found = createFoundRecords()
    const importers = [guarded(left), guarded(right)]
    await planAll(importers, chain.planned, found, { known: found.get, now: () => 0, signal })
    expect(found.size).toBe(6)
    const plans = [left, right].map(({ calls }) => calls.length)
    expect(Math.max(...plans)).toBeLessThanOrEqual(7)
    expect(keysOf(chain.planned, found.get)).toEqual(new Set(chain.steps.flatMap(({ keys }) => keys)))
  })

  it('asks one cache once, and two that have the same twice at most', async () => {
    const chain = chainOf(['a', 'b', 'c'])
    const one = await cacheWith('one', chain, () => true)
    await planAll([guarded(one)], chain.planned, createFoundRecords(), {
      known: nothing,
      now: () => 0,
      signal,
    })
    expect(one.calls).toEqual(['plan'])
    const both = [await cacheWith('left', chain, () => true), await cacheWith('right', chain, () => true)]
    const found = createFoundRecords()
    await planAll(
      both.map((cache) => guarded(cache)),
      chain.planned,
      found,
      { known: found.get, now: () => 0, signal },
    )
    for (const { calls } of both) expect(calls.length).toBeLessThanOrEqual(2)
    const [key] = chain.steps[0]?.keys ?? []
    expect(key && found.get(key)?.stored).toMatchObject({ cached: { places: ['left', 'right'] } })
  })

  it('takes the first cache where two machines made something else of a step', async () => {
    const [mine, theirs] = [chainOf(['a', 'b'], 'mine'), chainOf(['a', 'b'], 'theirs')]
    const found = createFoundRecords()
    const caches = [await cacheWith('mine', mine, () => true), await cacheWith('theirs', theirs, () => true)]
    await planAll(
      caches.map((cache) => guarded(cache)),
      mine.planned,
      found,
      { known: found.get, now: () => 0, signal },
    )
    for (const { keys, record } of mine.steps)
      for (const key of keys) expect(found.get(key)?.outputKey).toBe(record.outputKey)
  })

  it('begins no round when the time is over', async () => {
    const chain = chainOf(['a', 'b', 'c', 'd'])
    const left = await cacheWith('left', chain, (index) => index % 2 === 0)
    const right = await cacheWith('right', chain, (index) => index % 2 === 1)
    let clock = 0
    const found = createFoundRecords()
    const importers = [guarded(left), guarded(right)]
    const now = () => {
      clock += 1500
      return clock
    }
    await planAll(importers, chain.planned, found, { known: found.get, now, signal })
    expect(left.calls).toEqual(['plan'])
    expect(importers.flatMap(({ warnings }) => warnings)).toEqual([])
  })
})

describe('createLookUps()', () => {
  it('sends those that come at a time as one request, and says which were found', async () => {
    const chain = chainOf(['a', 'b', 'c'])
    const cache = await cacheWith('cache', chain, (index) => index !== 2)
    const lookUps = createLookUps([guarded(cache)], createFoundRecords())
    const wanted = wantedOf(chain)
    expect(await Promise.all(wanted.map((one) => lookUps.find(one, signal)))).toEqual([true, true, false])
    expect(cache.calls).toEqual(['find'])
  })

  it('gives a cache up that answers each time, and takes more than two seconds for all', async () => {
    const chain = chainOf(['a', 'b', 'c', 'd'])
    const [slow, quick] = [
      await cacheWith('slow', chain, () => false),
      await cacheWith('quick', chain, () => true),
    ]
    let clock = 0
    slow.fault = () => {
      clock += 700
    }
    const importers = [guarded(slow, { now: () => clock }), guarded(quick)]
    const found = createFoundRecords()
    const lookUps = createLookUps(importers, found)
    const outcomes: boolean[] = []
    for (const wanted of wantedOf(chain)) outcomes.push(await lookUps.find(wanted, signal))
    expect(outcomes).toEqual([true, true, true, true])
    expect([slow.calls.length, quick.calls.length]).toEqual([3, 4])
    expect(importers.flatMap(({ warnings }) => warnings)).toEqual([
      'Cache "slow" is not used any further: it did not answer within 2 s, all look-ups together',
    ])
  })

  it('has for late look-ups what the look-up of the graph left', async () => {
    const chain = chainOf(['a'])
    const cache = await cacheWith('cache', chain, () => true)
    let clock = 0
    cache.fault = () => {
      clock += 2000
    }
    const one = guarded(cache, { now: () => clock })
    const found = createFoundRecords()
    await planAll([one], chain.planned, found, { known: nothing, now: () => clock, signal })
    expect([found.size, one.warnings]).toEqual([1, []])
    for (const wanted of wantedOf(chain)) await createLookUps([one], found).find(wanted, signal)
    expect([cache.calls, one.warnings.length, one.guard.isAlive]).toEqual([['plan'], 1, false])
  })
})

describe('createWaitBudget()', () => {
  it('counts what is waited for at the same time once, and nothing between', async () => {
    let clock = 0
    const budget = createWaitBudget(2000, () => clock)
    const waits = [deferred(), deferred()] as const
    const counts = waits.map(({ promise }) => budget.count(() => promise))
    clock = 300
    expect(budget.leftMs()).toBe(1700)
    waits[0].resolve()
    await counts[0]
    clock = 400
    waits[1].resolve()
    await counts[1]
    clock = 60_000
    expect(budget.leftMs()).toBe(1600)
    await expect(budget.count(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(budget.leftMs()).toBe(1600)
  })
})

const limit = { ms: 60_000, why: 'it is slow' }

describe('createGuard()', () => {
  it('says what went wrong once, and asks no more', async () => {
    const cache = createMemoryCache('https://user:secret@cache.example/x')
    const { guard, warnings } = guarded(cache)
    let asked = 0
    const ask = () =>
      guard.ask(
        () => {
          asked++
          return Promise.reject(new EnvironmentError('ERR_REGISTRY_AUTH', 'Cannot authorize'))
        },
        signal,
        limit,
      )
    expect([await ask(), await ask(), asked, guard.isAlive]).toEqual([undefined, undefined, 1, false])
    expect(warnings).toEqual([
      'Cache "https://***@cache.example/x" is not used any further: Cannot authorize',
    ])
  })

  it('says what helps, too', () => {
    const error = new EnvironmentError('ERR_CACHE', 'it signs with another key', {
      hints: ['Remove the entry.'],
    })
    const { guard, warnings } = guarded(createMemoryCache('c'))
    guard.fail(error)
    expect(warnings).toEqual([
      'Cache "c" is not used any further: it signs with another key. Remove the entry',
    ])
    const needed = createGuard('c', 'from', { warn: () => {}, required: true })
    expect(() => needed.fail(error)).toThrow(
      expect.objectContaining({
        hints: ['Remove the entry.', 'Without `--cache-required` the build goes on without it.'],
      }),
    )
  })

  it('waits no longer than it may, also for what does not listen', async () => {
    const { guard, warnings } = guarded(createMemoryCache('slow'))
    expect(await guard.ask(() => new Promise(() => {}), signal, { ms: 1, why: 'it is slow' })).toBeUndefined()
    expect(warnings).toEqual(['Cache "slow" is not used any further: it is slow'])
  })

  it('throws ERR_CACHE where the build needs its caches', async () => {
    const { guard, warnings } = guarded(createMemoryCache('needed'), { required: true })
    const failing = guard.ask(() => Promise.reject(new Error('no')), signal, limit)
    await expect(failing).rejects.toMatchObject({
      code: 'ERR_CACHE',
      message: 'Cannot use the cache "needed": no',
    })
    expect(warnings).toEqual([])
  })

  it('blames nobody for a build that was cancelled', async () => {
    const { guard, warnings } = guarded(createMemoryCache('cancelled'))
    const cancel = new AbortController()
    const asking = guard.ask(() => new Promise(() => {}), cancel.signal, limit)
    cancel.abort()
    await expect(asking).rejects.toThrow('abort')
    expect([warnings, guard.isAlive]).toEqual([[], true])
  })
})
