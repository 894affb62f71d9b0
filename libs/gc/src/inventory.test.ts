import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeRecord } from '@tsbuild/cache'
import { digestBytes, digestHex } from '@tsbuild/digest'
import { mediaTypes } from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { takeInventory } from './inventory.ts'
import { addImage, addStep, addTree, outputOf, putBlob } from './testing/store-steps.ts'
import type { Inventory, Item } from './types.ts'

const now = Date.now()

function named(inventory: Inventory, description: string): Item {
  const found = inventory.items.filter((item) => item.description === description)
  const [item, ...others] = found
  if (item === undefined || others.length > 0)
    throw new Error(`${found.length} items are called ${description}`)
  return item
}

/** What an item stands upon, or its parts, by description. */
const names = ({ items }: Inventory, indexes: readonly number[]) =>
  indexes.map((index) => items[index]?.description)
const blobOf = (text: string) => `blob ${digestBytes(text).slice(0, 19)}`
/** What of an inventory is not there in every store. */
const standings = ({ items }: Inventory) =>
  Object.fromEntries(
    items
      .filter(({ kind }) => kind !== 'internal')
      .map(({ description, standing }) => [
        description,
        'code' in standing ? `${standing.as}: ${standing.code}` : standing.as,
      ]),
  )

async function inventoryOf(store: Store): Promise<Inventory> {
  return await takeInventory(store, now)
}

describe('takeInventory()', () => {
  it('makes one item of a step with all its records, upon the steps below it', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'base', durationMs: 50 })
    const id = await addStep(store, { name: 'top', below: ['base'], keys: ['one', 'two'], durationMs: 700 })
    const inventory = await inventoryOf(store)
    const top = named(inventory, 'top')
    expect(top).toMatchObject({ id, kind: 'regular', standing: { as: 'cache' }, rebuildMs: 800 })
    expect(top.entries.map(({ kind }) => kind)).toEqual(['snapshot', 'record', 'record'])
    expect(names(inventory, top.below)).toEqual(['base'])
    expect(named(inventory, 'base').below).toEqual([])
  })

  it('has every byte of the store in one item', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'step', layer: 'layer' })
    await addImage(store, ['docker.io/library/app:1.0'], ['layer'])
    await (await store.sources.draft()).commit('https://example.test/a', '{}')
    const inventory = await inventoryOf(store)
    expect(inventory.items.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(inventory.totalBytes)
    expect(inventory.totalBytes).toBe((await store.space.list()).reduce((sum, { bytes }) => sum + bytes, 0))
  })

  it('does not take what a step copied from, or has mounted, for what it stands upon', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'mounted' })
    const selector = { source: '/src' }
    const inputs = [{ kind: 'result', key: outputOf('mounted'), selector } as const]
    await addStep(store, { name: 'step', inputs })
    expect(named(await inventoryOf(store), 'step').below).toEqual([])
  })

  it('gives a layer to the step and to the image that name it', async () => {
    const store = await temporaryStore()
    await addStep(store, { name: 'step', layer: 'layer' })
    await addStep(store, { name: 'other', layer: 'own layer' })
    await addImage(store, ['docker.io/library/app:1.0', 'docker.io/library/app:latest'], ['layer'])
    const inventory = await inventoryOf(store)
    expect(names(inventory, named(inventory, 'step').parts)).toEqual([blobOf('layer')])
    const image = named(inventory, 'app:1.0, app:latest')
    expect(names(inventory, image.parts)).toContain(blobOf('layer'))
    expect(image).toMatchObject({ kind: 'image', standing: { as: 'fixed', code: 'image' }, entries: [] })
    expect(named(inventory, blobOf('layer'))).toMatchObject({ kind: 'image', standing: { as: 'part' } })
    expect(named(inventory, blobOf('own layer'))).toMatchObject({ kind: 'base', standing: { as: 'part' } })
  })

  it('reaches nested indexes, subjects and referrers of referrers, and leaves what nothing names (GC-05)', async () => {
    const store = await temporaryStore()
    const amd64 = await addImage(store, [], ['amd64 layer'])
    const arm64 = await addImage(store, [], ['arm64 layer'])
    const subject = await addImage(store, [], ['subject layer'])
    const inner = await putBlob(store, mediaTypes.ociIndex, { manifests: [arm64], subject })
    const missing = { ...amd64, digest: digestBytes('a platform that nobody asked for') }
    const outer = await putBlob(store, mediaTypes.ociIndex, { manifests: [amd64, inner, missing] })
    await store.images.set(['docker.io/library/app:1.0'], outer)
    const signature = await addImage(store, [], ['signature layer'], { subject: amd64 })
    const ofSignature = await addImage(store, [], ['attestation layer'], { subject: signature })
    await addImage(store, [], ['loose layer'])
    const inventory = await inventoryOf(store)
    const parts = names(inventory, named(inventory, 'app:1.0').parts)
    for (const layer of ['amd64', 'arm64', 'subject', 'signature', 'attestation'])
      expect(parts).toContain(blobOf(`${layer} layer`))
    for (const { digest } of [outer, inner, amd64, arm64, subject, signature, ofSignature])
      expect(parts).toContain(`blob ${digest.slice(0, 19)}`)
    expect(inventory.unreadableImages).toEqual([])
    expect(named(inventory, blobOf('loose layer')).standing).toEqual({ as: 'cache' })
  })

  it('counts an image without a name, and says which image cannot be read', async () => {
    const store = await temporaryStore()
    const manifest = await addImage(store, [], ['layer'])
    const index = { schemaVersion: 2, manifests: [manifest] }
    writeFileSync(join(store.root, 'v1/index.json'), JSON.stringify(index))
    const inventory = await inventoryOf(store)
    expect(names(inventory, named(inventory, manifest.digest).parts)).toContain(blobOf('layer'))
    await store.images.set(['docker.io/library/gone:1'], { ...manifest, digest: digestBytes('gone') })
    expect((await inventoryOf(store)).unreadableImages).toEqual(['gone:1'])
  })

  it('tells unpacked layers, layers in one and trees of later versions from what nobody names', async () => {
    const store = await temporaryStore()
    const low = await addStep(store, { name: 'low' })
    const high = await addStep(store, { name: 'high', below: ['low'] })
    const unpacked = await addTree(store, 'unpacked', { diffId: digestBytes('x') })
    const fetched = await putBlob(store, mediaTypes.ociLayerGzip, 'pulled')
    await store.snapshots.setLayer(unpacked, {
      blobs: [{ ...fetched, diffId: digestBytes('x') as never, form: undefined }],
    })
    await addTree(store, 'merged', { lower: [low, high] })
    await addTree(store, 'merged again', { lower: [digestBytes('merged'), unpacked, low] })
    await addTree(store, 'broken', { lower: [low, 'f'.repeat(32), low, high] })
    const later = await store.snapshots.draft()
    const text = JSON.stringify({ format: 2, tree: { at: later.id } })
    await later.commit([{ keys: [digestBytes('later')], text }])
    const nobodys = await store.snapshots.draft()
    await nobodys.commit([])
    utimesSync(join(store.root, 'v1/snapshots', nobodys.id, 'snapshot.json'), 1, 1)
    const inventory = await inventoryOf(store)
    const pulled = `unpacked layer ${digestHex(digestBytes('pulled')).slice(0, 12)}`
    expect(names(inventory, named(inventory, '2 layers in one').below)).toEqual(['low', 'high'])
    expect(names(inventory, named(inventory, '3 layers in one').below)).toEqual([
      '2 layers in one',
      pulled,
      'low',
    ])
    expect(named(inventory, pulled).rebuildMs).toBeGreaterThan(300)
    const all = Object.values(standings(inventory)).filter((standing) => standing.startsWith('garbage'))
    expect(all.toSorted()).toEqual(['garbage: no-lower', 'garbage: no-record'])
  })

  it('keeps a layer in another compression with the record that names it', async () => {
    const store = await temporaryStore()
    const { digest } = await putBlob(store, mediaTypes.ociLayerZstd, 'converted')
    const text = (of: string) =>
      JSON.stringify({ format: 1, converted: digestBytes('layer'), layer: { digest: of } })
    const lost = digestBytes('lost')
    await store.records.put([
      { keys: [digestBytes('there')], text: text(digest) },
      { keys: [digestBytes('gone')], text: text(lost) },
    ])
    const inventory = await inventoryOf(store)
    const description = `layer ${digestHex(digestBytes('layer')).slice(0, 12)} in another compression`
    const found = inventory.items.filter((item) => item.description === description)
    expect(found.map(({ standing }) => standing)).toEqual(
      expect.arrayContaining([{ as: 'cache' }, { as: 'garbage', code: 'no-blob' }]),
    )
    const kept = found.find(({ standing }) => standing.as === 'cache')
    expect(names(inventory, kept?.parts ?? [])).toEqual([blobOf('converted')])
    expect(kept?.rebuildMs).toBeGreaterThan(100)
  })

  it('keeps the record of a step that a cache elsewhere has, and what of its layer is here with it', async () => {
    const store = await temporaryStore()
    const { digest } = await putBlob(store, mediaTypes.ociLayerZstd, 'found')
    const text = (name: string, blob: string) => {
      const made = {
        outputKey: digestBytes(name),
        name,
        op: { kind: 'exec.v4' },
        inputs: [],
        createdAt: 1,
        durationMs: 60_000,
      }
      return encodeRecord({
        ...made,
        stored: { cached: { blobs: [{ digest: blob }], places: ['c'], createdAt: 1 } },
      })
    }
    await store.records.put([
      { keys: [digestBytes('fetched')], text: text('fetched', digest) },
      { keys: [digestBytes('known')], text: text('known', digestBytes('elsewhere')) },
    ])
    const inventory = await inventoryOf(store)
    const [fetched, known] = ['fetched', 'known'].map((name) => named(inventory, name))
    expect([fetched?.standing, known?.standing]).toEqual([{ as: 'cache' }, { as: 'cache' }])
    expect(names(inventory, fetched?.parts ?? [])).toEqual([blobOf('found')])
    expect(fetched?.rebuildMs).toBeGreaterThan(60_000)
    expect(known?.rebuildMs).toBeLessThan(1000)
  })

  it('does not take a snapshot for garbage whose record may have come while the list was made', async () => {
    const store = await temporaryStore()
    const draft = await store.snapshots.draft()
    await draft.commit([])
    const marker = join(store.root, 'v1/snapshots', draft.id, 'snapshot.json')
    const standing = async () => named(await inventoryOf(store), `snapshot ${draft.id.slice(0, 12)}`).standing
    expect(await standing()).toEqual({ as: 'cache' })
    const then = now / 1000 - 601
    utimesSync(marker, then, then)
    expect(await standing()).toEqual({ as: 'garbage', code: 'no-record' })
  })

  it('knows garbage: records without files, sources without names, names without sources, half things', async () => {
    const store = await temporaryStore()
    const old = await addStep(store, { name: 'lost' })
    await store.records.put([{ keys: [digestBytes('empty')], text: 'not JSON' }])
    for (const text of ['one', 'two']) await (await store.sources.draft()).commit('name', text)
    const { root } = store
    await store.space.remove([])
    const [dangling = ''] = readdirSync(join(root, 'v1/sources/trees')).slice(0, 1)
    expect(dangling).not.toBe('')
    mkdirSync(join(root, 'v1/snapshots', 'a'.repeat(32)))
    writeFileSync(join(root, 'v1/quarantine/old'), '')
    utimesSync(join(root, 'v1/quarantine/old'), 1, 1)
    writeFileSync(join(root, 'v1/quarantine/new'), '')
    store.releaseUses()
    const snapshot = (await store.space.list()).filter(({ id }) => id === old)
    expect(await store.space.remove(snapshot)).toEqual(['removed'])
    const inventory = await inventoryOf(store)
    expect(standings(inventory)).toMatchObject({
      lost: 'garbage: no-snapshot',
      'a record': 'garbage: unreadable',
    })
    const sources = inventory.items.filter(({ kind }) => kind === 'source')
    expect(sources.map(({ standing }) => standing.as).toSorted()).toEqual(['cache', 'garbage'])
    const internal = inventory.items.flatMap(({ kind, standing, id }) =>
      kind === 'internal' && standing.as === 'garbage' ? [[id, standing.code]] : [],
    )
    expect(internal).toEqual([
      ['quarantine/old', 'quarantined'],
      [`snapshots/${'a'.repeat(32)}`, 'leftover'],
    ])
  })

  it('keeps what a failed step stood upon for as long as the failure is kept', async () => {
    const store = await temporaryStore()
    const id = await addStep(store, { name: 'below the failure' })
    const { digest } = await putBlob(store, mediaTypes.ociLayerGzip, 'of the base')
    const layers = [
      { kind: 'image', reference: 'r', digest },
      { kind: 'snapshot', id, createdAt: 1 },
    ]
    const text = JSON.stringify({ format: 1, name: 'RUN false', inputs: [{ layers }] })
    await (await store.snapshots.draft()).keep('a'.repeat(24), text)
    await (await store.snapshots.draft()).keep('b'.repeat(24), 'of a later version')
    const inventory = await inventoryOf(store)
    const failure = named(inventory, 'failed step RUN false')
    expect(names(inventory, failure.below)).toEqual(['below the failure'])
    expect(names(inventory, failure.parts)).toEqual([blobOf('of the base')])
    expect(named(inventory, `failed step of build ${'b'.repeat(24)}`).below).toEqual([])
  })

  it('gives the list of files to the step that read them, and drops the list that no step has', async () => {
    const store = await temporaryStore()
    const [read, stale, young] = ['read', 'stale', 'young'].map((text) => digestBytes(text))
    if (read === undefined || stale === undefined || young === undefined) throw new Error('never')
    for (const text of ['read', 'stale', 'young'])
      await store.putFileList(digestBytes(text), Buffer.from(text))
    utimesSync(join(store.root, 'v1/files', digestHex(stale)), 1, 1)
    const inputs = [{ kind: 'content', digest: read, preimage: null } as const]
    await addStep(store, { name: 'copy', inputs })
    const inventory = await inventoryOf(store)
    const listOf = (digest: string) => `list of files ${digest.slice(0, 19)}`
    expect(names(inventory, named(inventory, 'copy').parts)).toEqual([listOf(read)])
    expect(named(inventory, listOf(stale)).standing).toEqual({ as: 'garbage', code: 'no-reader' })
    expect(named(inventory, listOf(young)).standing).toEqual({ as: 'cache' })
  })

  it('names cache mounts and builds by what they say of themselves', async () => {
    const store = await temporaryStore()
    const make = async (directory: string) => mkdirSync(join(directory, 'fs'))
    for (const scope of ['main', 'pr/7'])
      await (
        await store.cacheMounts.open({ scope, id: 'npm', base: null, sharing: 'shared', make })
      ).release()
    const found = (await inventoryOf(store)).items.filter(({ kind }) => kind === 'exec.cachemount')
    const descriptions = found.map(({ description }) => description).toSorted()
    expect(descriptions).toEqual(['cache mount "npm"', 'cache mount "npm" of scope pr/7'])
  })
})
