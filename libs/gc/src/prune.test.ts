import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { digestBytes, digestHex } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import { mediaTypes } from '@tsbuild/oci'
import { openStore, type Removal, type Store } from '@tsbuild/store'
import { storeOptions, temporaryStore } from '@tsbuild/store/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { takeInventory } from './inventory.ts'
import { type PruneOptions, prune, pruneInventory } from './prune.ts'
import { addImage, addStep, putBlob } from './testing/store-steps.ts'
import { diskUsage } from './usage.ts'

const now = () => Date.now()
const all: PruneOptions = { policy: { reach: 'all' }, now }

/** Another opening of a store, as a process of its own has. */
async function reopened({ root }: Pick<Store, 'root'>): Promise<Store> {
  const store = await openStore(storeOptions(root))
  onTestFinished(() => store.close())
  return store
}

/** The store with another answer to some questions of space. */
function changed(store: Store, changes: Partial<Store['space']>): Store {
  const { space } = store
  const original: Store['space'] = {
    list: () => space.list(),
    remove: (...args) => space.remove(...args),
    inUse: (entries) => space.inUse(entries),
    account: () => space.account(),
    setAccount: (text) => space.setAccount(text),
    disk: () => space.disk(),
  }
  return { ...store, space: { ...original, ...changes } }
}

const snapshots = ({ root }: Store) => readdirSync(join(root, 'v1/snapshots'))
const has = (store: Store, text: string) =>
  existsSync(join(store.root, 'v1/blobs/sha256', digestHex(digestBytes(text))))

describe('prune()', () => {
  it('removes steps with their records and layers, and leaves the image', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'base', layer: 'in the image' })
    await addStep(store, { name: 'top', below: ['base'], layer: 'only here', keys: ['a', 'b'] })
    await addImage(store, ['docker.io/library/app:1.0'], ['in the image'])
    store.releaseUses()
    const removed: string[] = []
    const report = await prune(store, {
      ...all,
      onRemoved: ({ item }) => void removed.push(item.description),
    })
    expect(removed.filter((name) => !name.startsWith('blob'))).toEqual(['top', 'base'])
    expect(snapshots(store)).toEqual([])
    expect(store.records.get(digestBytes('b'))).toBeUndefined()
    expect([has(store, 'in the image'), has(store, 'only here')]).toEqual([true, false])
    expect(report.kept.map(({ item }) => item.description)).toContain('app:1.0')
    const { totalBytes } = await takeInventory(store, now())
    // What it wrote down to explain itself, and the directory that it worked in.
    expect(Math.abs(report.totalBytes - totalBytes)).toBeLessThan(64 * 1024)
  })

  it('leaves what another process has found, with its records, and all that it stands upon', async () => {
    const store = await temporaryStore()
    const ids: string[] = []
    for (const [name, below] of [
      ['base', []],
      ['used', ['base']],
      ['above', ['used']],
    ] as const)
      ids.push(await addStep(store, { name, below, layer: `layer of ${name}` }))
    store.releaseUses()
    const builder = await reopened(store)
    expect(builder.snapshots.has(ids[1] as never)).toBe(true)
    const report = await prune(store, all)
    expect(
      report.removed.filter(({ item }) => item.kind === 'regular').map(({ item }) => item.description),
    ).toEqual(['above'])
    expect(store.records.get(digestBytes('used'))).toBeDefined()
    expect(has(store, 'layer of used') && has(store, 'layer of base')).toBe(true)
    expect(report.kept.find(({ item }) => item.description === 'used')?.reason.code).toBe('in-use')
    builder.releaseUses()
    await prune(store, all)
    expect(snapshots(store)).toEqual([])
  })

  it('plans again when the store does not give an item away, and takes another for it', async () => {
    const store = await temporaryStore()
    // The least valuable would do.
    const cheap = await addStep(store, { name: 'cheap', durationMs: 1, bytes: 100_000 })
    await addStep(store, { name: 'dear', durationMs: 60_000, bytes: 100_000 })
    await addStep(store, { name: 'dearer', durationMs: 600_000, bytes: 100_000 })
    store.releaseUses()
    const builder = await reopened(store)
    // The kernel's list is a guess: nothing is in it here.
    const blind = changed(store, { inUse: () => [] })
    builder.snapshots.has(cheap)
    const inventory = await takeInventory(store, now())
    const maxUsedBytes = inventory.totalBytes - 90_000
    const report = await pruneInventory(blind, inventory, { policy: { maxUsedBytes }, now })
    expect(report.removed.map(({ item }) => item.description)).toEqual(['dear'])
    expect(report.kept.find(({ item }) => item.description === 'cheap')?.reason.code).toBe('in-use')
  })

  it('asks for each blob again: an image that was named meanwhile keeps its layers', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'step', layer: 'shared with the new image' })
    await putBlob(store, mediaTypes.ociLayerGzip, 'nobody names it')
    store.releaseUses()
    const inventory = await takeInventory(store, now())
    const builder = await reopened(store)
    await addImage(builder, ['docker.io/library/new:1'], ['shared with the new image'])
    // It is over, and uses nothing any more.
    builder.releaseUses()
    await pruneInventory(store, inventory, all)
    expect(snapshots(store)).toEqual([])
    expect([has(store, 'shared with the new image'), has(store, 'nobody names it')]).toEqual([true, false])
  })

  it('leaves a record that was written anew since the inventory', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'step' })
    store.releaseUses()
    const inventory = await takeInventory(store, now())
    const builder = await reopened(store)
    const again = await addStep(builder, { name: 'step' })
    await pruneInventory(store, inventory, all)
    expect(store.records.get(digestBytes('step'))).toContain(again)
    expect(snapshots(store)).toEqual([again])
  })

  it('says in the index what was removed, and why', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'step', keys: ['one', 'two'] })
    store.releaseUses()
    await prune(store, { policy: { maxUsedBytes: 0 }, now })
    for (const key of ['one', 'two'])
      expect(store.steps.eviction([digestBytes(key)])?.reason).toMatch(/^least valuable, unused for /)
  })

  it('removes nothing with dryRun, and says the same', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'base' })
    await addStep(store, { name: 'top', below: ['base'], layer: 'layer' })
    store.releaseUses()
    const pretended = await prune(store, { ...all, dryRun: true })
    expect(snapshots(store)).toHaveLength(2)
    const done = await prune(store, all)
    const said = ({ removed }: typeof done) =>
      removed.map(({ item, freedBytes }) => [item.id, freedBytes]).toSorted()
    expect(said(pretended)).toEqual(said(done))
    expect(pretended.totalBytes).toBe(done.totalBytes)
  })

  it('leaves nothing half done when it dies between two deletions', async () => {
    const store = await temporaryStore()
    for (let step = 0; step < 3; step++)
      await addStep(store, { name: `s${step}`, below: step === 0 ? [] : [`s${step - 1}`], layer: `l${step}` })
    store.releaseUses()
    for (let deaths = 0; ; deaths++) {
      let left = deaths
      const dying: Store['space']['remove'] = async (entries, still) => {
        const answers: Removal[] = []
        for (const entry of entries) {
          if (left-- === 0) throw new Error('killed')
          answers.push(...(await store.space.remove([entry], still)))
        }
        return answers
      }
      const outcome = await prune(changed(store, { remove: dying }), all).catch(({ message }) => message)
      const { items } = await takeInventory(store, now())
      // Each step that is left has all that it needs.
      for (const item of items.filter(
        ({ kind, standing }) => kind === 'regular' && standing.as === 'cache',
      )) {
        expect(item.entries.map(({ kind }) => kind)).toEqual(['snapshot', 'record'])
        expect(item.below).toHaveLength(item.description === 's0' ? 0 : 1)
      }
      if (outcome !== 'killed') break
    }
    expect(snapshots(store)).toEqual([])
  })

  it('ends between two batches when it is cancelled', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'step' })
    store.releaseUses()
    const abort = new AbortController()
    abort.abort()
    const error = await prune(store, { ...all, signal: abort.signal }).catch((caught: unknown) => caught)
    expect(isBuildError(error) && error.code).toBe('ERR_CANCELLED')
    expect(snapshots(store)).toHaveLength(1)
  })
})

describe('diskUsage()', () => {
  it('sums each file once, a shared layer as the image’s, and says what all would free', async () => {
    const store = await temporaryStore()
    const id = await addStep(store, { name: 'step', layer: 'x'.repeat(100_000), bytes: 50_000 })
    await addStep(store, { name: 'other', layer: 'y'.repeat(100_000), bytes: 50_000 })
    await addImage(store, ['docker.io/library/app:1.0'], ['x'.repeat(100_000)])
    store.releaseUses()
    const builder = await reopened(store)
    builder.snapshots.has(id)
    const usage = await diskUsage(store, { now: now() })
    const { totalBytes } = await takeInventory(store, now())
    expect(usage.totalBytes).toBe(totalBytes)
    const step = usage.items.find(({ item }) => item.description === 'step')
    expect(step).toMatchObject({ inUse: true, reclaimable: false, reason: { code: 'in-use' } })
    expect(step?.bytes).toBeGreaterThan(150_000)
    expect(step?.sharedBytes).toBeGreaterThanOrEqual(100_000)
    const other = usage.items.find(({ item }) => item.description === 'other')
    expect(other).toMatchObject({ inUse: false, reclaimable: true, sharedBytes: 0 })
    const kinds = Object.fromEntries(usage.kinds.map((kind) => [kind.kind, kind]))
    expect(kinds.regular).toMatchObject({ count: 2, sharedBytes: 0 })
    expect(kinds.regular?.reclaimableBytes).toBe(other?.bytes)
    expect(kinds.image?.sharedBytes).toBe(step?.sharedBytes)
    expect(usage.items.some(({ item }) => item.description.startsWith('blob'))).toBe(false)
  })
})
