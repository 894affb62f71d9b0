import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeRecord } from '@tsbuild/cache'
import { digestBytes } from '@tsbuild/digest'
import { decodeAccount, encodeAccount } from '@tsbuild/gc'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { createCollector } from './collector.ts'
import type { Machine } from './machine.ts'
import type { SpaceLimits } from './space-types.ts'

const gb = 1000 ** 3
const minute = 60_000

/** A store of three steps, how often it was listed, and a disk whose numbers a test sets. */
async function fixture(space: SpaceLimits = {}) {
  const store = await temporaryStore()
  for (const [name, durationMs] of [
    ['cheap', 1],
    ['dear', 60_000],
    ['dearest', 600_000],
  ] as const) {
    const draft = await store.snapshots.draft()
    writeFileSync(join(draft.upper, 'file'), 'x'.repeat(2_000_000))
    const record = { outputKey: digestBytes(`output ${name}`), name, op: null, inputs: [], createdAt: 1 }
    const stored = { snapshot: draft.id, createdAt: 1 }
    await draft.commit([{ keys: [digestBytes(name)], text: encodeRecord({ ...record, stored, durationMs }) }])
  }
  store.releaseUses()
  const state = {
    lists: 0,
    now: Date.now(),
    disk: { totalBytes: 100 * gb, freeBytes: 90 * gb },
    fails: false,
  }
  const original = store.space
  const counted: Store['space'] = {
    async list() {
      state.lists++
      if (state.fails) throw new Error('no list')
      return await original.list()
    },
    remove: (...args) => original.remove(...args),
    inUse: (entries) => original.inUse(entries),
    account: () => original.account(),
    setAccount: (text) => original.setAccount(text),
    disk: () => state.disk,
  }
  const machine = { store: { ...store, space: counted }, now: () => state.now, options: { root: '', space } }
  const said: string[] = []
  const failures: unknown[] = []
  const collector = () =>
    createCollector(machine as unknown as Machine, {
      show: (body) => body((line) => void said.push(line)),
      onFailure: (error) => void failures.push(error),
    })
  const steps = () =>
    ['cheap', 'dear', 'dearest'].filter((name) => store.records.get(digestBytes(name)) !== undefined)
  return { store, state, said, failures, collector, steps }
}

describe('createCollector()', () => {
  it('looks at the disk and at nothing else while all that is on it is less than the limit', async () => {
    const { state, collector, said } = await fixture()
    const build = collector()
    await build.beforeStep()
    await build.afterBuild()
    expect([state.lists, said]).toEqual([0, []])
  })

  it('counts once where it may be too much, and then only when the disk has grown', async () => {
    const { state, collector, said, store } = await fixture()
    state.disk = { totalBytes: 1000 * gb, freeBytes: 800 * gb }
    await collector().afterBuild()
    expect([state.lists, said]).toEqual([1, []])
    expect(decodeAccount(store.space.account())).toMatchObject({ at: state.now, diskUsedBytes: 200 * gb })
    state.now += 2 * minute
    await collector().afterBuild()
    expect(state.lists).toBe(1)
    state.disk = { totalBytes: 1000 * gb, freeBytes: 699 * gb }
    await collector().afterBuild()
    expect(state.lists).toBe(2)
  })

  it('removes the least valuable down to nine tenths of the limit, and says so', async () => {
    const { state, collector, said, steps } = await fixture({ maxUsed: { bytes: 6_000_000 } })
    await collector().afterBuild()
    expect(steps()).toEqual(['dear', 'dearest'])
    expect(said).toEqual([
      expect.stringMatching(/^freed \d\.\d+MB, one item: the store was over its limit of 6MB$/),
    ])
    // It was counted again after it.
    expect(state.lists).toBe(2)
    await collector().afterBuild()
    expect(state.lists).toBe(2)
  })

  it('makes room before a step once in a build, however many steps ask, and though somebody has just counted', async () => {
    const { state, collector, said, steps, store } = await fixture()
    const account = { at: state.now, totalBytes: 1, diskUsedBytes: 1, stuck: false }
    store.space.setAccount(encodeAccount(account))
    state.disk = { totalBytes: 100 * gb, freeBytes: gb }
    const build = collector()
    await Promise.all([build.beforeStep(), build.beforeStep(), build.beforeStep()])
    await build.beforeStep()
    // The floor of 10 GB is far above what the store has.
    expect([state.lists, steps().length, said.length]).toEqual([1, 3, 1])
    expect(said[0]).toBe('nothing could be removed, though less than 10GB of the disk were free')
    await collector().beforeStep()
    expect(state.lists).toBe(1)
    state.now += 10 * minute
    await collector().beforeStep()
    expect(state.lists).toBe(2)
  })

  it('makes room once after a step that found none, below the floor too, unless nothing is ever to go', async () => {
    const { state, collector, said, steps } = await fixture()
    const build = collector()
    // As much as there was for the step, and the reserve, twice.
    state.disk = { totalBytes: 10_000_000, freeBytes: 2_000_000 }
    expect(await Promise.all([build.afterFull(), build.afterFull()])).toEqual([true, true])
    expect(steps()).toEqual(['dearest'])
    expect(said).toEqual([expect.stringMatching(/^freed \S+MB, 2 items: a step found no room on the disk$/)])
    const never = await fixture({ maxUsed: 'unlimited', minFree: 'unlimited' })
    expect(await never.collector().afterFull()).toBe(false)
    expect(never.state.lists).toBe(0)
  })

  it('leaves it to who is at it', async () => {
    const { state, collector, store, failures } = await fixture({ maxUsed: { bytes: 6_000_000 } })
    await store.locks.withLock('prune', () => collector().afterBuild())
    expect([state.lists, failures]).toEqual([0, []])
    await collector().afterBuild()
    expect(state.lists).toBe(2)
  })

  it('is no failure of the build where it fails', async () => {
    const { state, collector, failures } = await fixture({ maxUsed: { bytes: 6_000_000 } })
    state.fails = true
    await collector().afterBuild()
    expect(failures).toEqual([new Error('no list')])
  })
})
