import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { digestBytes, digestHex } from '@tsbuild/digest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openStore } from './open-store.ts'
import { rangeOf, tryRangeLock } from './range-lock.ts'
import type { SnapshotDraft } from './snapshot-types.ts'
import { storeOptions, temporaryStore } from './testing/temporary-store.ts'
import type { Store, StoreEntry, StoreEntryKind } from './types.ts'

const key = digestBytes('key')
const now = 1_700_000_000_000

/** Another opening of the same store. */
async function reopened({ root }: Store): Promise<Store> {
  const store = await openStore(storeOptions(root))
  onTestFinished(() => store.close())
  return store
}

async function entriesOf(store: Store, kind: StoreEntryKind): Promise<readonly StoreEntry[]> {
  return (await store.space.list()).filter((entry) => entry.kind === kind)
}

async function entryOf(store: Store, kind: StoreEntryKind): Promise<StoreEntry> {
  const [entry, ...others] = await entriesOf(store, kind)
  if (entry === undefined || others.length > 0) throw new Error(`expected one ${kind}`)
  return entry
}

async function committed(store: Store): Promise<SnapshotDraft> {
  const draft = await store.snapshots.draft()
  writeFileSync(join(draft.upper, 'file'), 'x'.repeat(100_000))
  await draft.commit([{ keys: [key], text: `{"snapshot":"${draft.id}"}` }])
  return draft
}

/** One of everything, and files that are not ours, in each directory. */
async function filled(): Promise<Store> {
  const store = await temporaryStore()
  const draft = await committed(store)
  linkSync(join(draft.upper, 'file'), join(draft.upper, 'again'))
  await store.blobs.put(Buffer.from('blob'))
  await store.putFileList(digestBytes('list'), Buffer.from('list'))
  writeFileSync(store.cacheFile('probe', 'x'), 'cache')
  await (await store.sources.draft()).commit('name', 'text')
  await store.sources.workDirectory('name')
  const make = async (directory: string) => writeFileSync(join(directory, 'fs'), '')
  const mount = { scope: 'main', id: 'id', base: null, sharing: 'shared', make } as const
  await (await store.cacheMounts.open(mount)).release()
  await (await store.snapshots.draft()).keep('a'.repeat(24), '{}')
  await store.snapshots.draft()
  const v1 = join(store.root, 'v1')
  for (const directory of [
    '',
    'blobs',
    'records',
    'records/00',
    'sources',
    'mounts',
    'cache',
    'index',
    'strange',
  ]) {
    mkdirSync(join(v1, directory), { recursive: true })
    writeFileSync(join(v1, directory, 'not ours'), 'x'.repeat(5000))
  }
  writeFileSync(join(store.root, 'note'), '')
  return store
}

describe('StoreSpace', () => {
  it('list() has each file in one entry: the sum is what du says', async () => {
    const store = await filled()
    const entries = await store.space.list()
    const sum = entries.reduce((total, { bytes }) => total + bytes, 0)
    const du = execFileSync('du', ['-s', '--block-size=1', store.root]).toString()
    expect(sum).toBe(Number.parseInt(du, 10))
    const names = entries.map(({ kind, id }) => `${kind} ${id}`)
    expect(names.length).toBe(new Set(names).size)
    expect(new Set(entries.map(({ kind }) => kind))).toEqual(
      new Set<StoreEntryKind>([
        'record',
        'snapshot',
        'blob',
        'source',
        'source-name',
        'source-work',
        'cache-mount',
        'failure',
        'file-list',
        'cache-file',
        'index',
        'session',
        'leftover',
        'fixed',
      ]),
    )
  })

  it('remove() takes what nobody uses, and all of it', async () => {
    const used = await filled()
    await used.close()
    const store = await reopened(used)
    const removable = (await store.space.list()).filter(({ kind }) => kind !== 'fixed')
    const removals = await store.space.remove(removable)
    expect(removals.every((removal) => removal === 'removed' || removal === 'gone')).toBe(true)
    const left = new Set((await store.space.list()).map(({ kind }) => kind))
    expect(left).toEqual(new Set(['fixed', 'session']))
  })

  it.each(['snapshot', 'blob', 'source', 'source-work', 'leftover', 'session', 'fixed'] as const)(
    'remove() leaves a %s that another opening has found',
    async (kind) => {
      const user = await filled()
      const store = await reopened(user)
      const entries = await entriesOf(store, kind)
      expect(await store.space.remove(entries)).toEqual(entries.map(() => 'in-use'))
      const ids = (all: readonly StoreEntry[]) => all.map(({ id }) => id)
      expect(ids(await entriesOf(store, kind))).toEqual(ids(entries))
    },
  )

  it('what is found is held until it is let go of', async () => {
    const maker = await temporaryStore()
    const { id } = await committed(maker)
    await maker.blobs.put(Buffer.from('blob'))
    await maker.close()
    const [reader, store] = [await reopened(maker), await reopened(maker)]
    expect(reader.snapshots.has(id)).toBe(true)
    expect(await reader.blobs.size(digestBytes('blob'))).toBe(4)
    const entries = [await entryOf(store, 'snapshot'), await entryOf(store, 'blob')]
    expect(await store.space.remove(entries)).toEqual(['in-use', 'in-use'])
    reader.releaseUses()
    expect(await store.space.remove(entries)).toEqual(['removed', 'removed'])
    expect(reader.snapshots.has(id)).toBe(false)
    reader.releaseUses()
    expect(await store.space.remove(entries)).toEqual(['gone', 'gone'])
  })

  it('put() waits for a deletion under way, which would take the new blob', async () => {
    const store = await temporaryStore()
    const digest = digestBytes('blob')
    const deleter = tryRangeLock(join(store.root, 'v1', 'locks', 'uses'), rangeOf(digestHex(digest)))
    let named = false
    const put = store.blobs.put(Buffer.from('blob')).then(() => (named = true))
    await setTimeout(50)
    expect([named, existsSync(store.blobs.path(digest))]).toEqual([false, false])
    deleter?.release()
    await put
    expect(existsSync(store.blobs.path(digest))).toBe(true)
  })

  it('remove() leaves a record and a name that were written again', async () => {
    const store = await filled()
    const [record, name] = [await entryOf(store, 'record'), await entryOf(store, 'source-name')]
    expect([record.id, record.text()]).toEqual([digestHex(key), store.records.get(key)])
    await store.records.put([{ keys: [key], text: 'new' }])
    await (await store.sources.draft()).commit('name', 'new')
    expect(await store.space.remove([record, name])).toEqual(['changed', 'changed'])
    expect(store.records.get(key)).toBe('new')
    expect(store.sources.get('name')?.text).toBe('new')
    expect(record.text()).toBe('new')
  })

  it('remove() leaves a draft that was committed', async () => {
    const store = await temporaryStore()
    const draft = await store.snapshots.draft()
    const leftover = await entryOf(store, 'leftover')
    await draft.commit([])
    store.releaseUses()
    expect(await store.space.remove([leftover])).toEqual(['changed'])
    expect(existsSync(draft.upper)).toBe(true)
  })

  it('remove() leaves a cache mount that is open, and a failure that is looked at', async () => {
    const store = await filled()
    const make = async () => {}
    const mount = await store.cacheMounts.open({
      scope: 'main',
      id: 'id',
      base: null,
      sharing: 'shared',
      make,
    })
    const entries = [await entryOf(store, 'cache-mount'), await entryOf(store, 'failure')]
    await store.failures.use('a'.repeat(24), async () => {
      expect(await store.space.remove(entries)).toEqual(['in-use', 'in-use'])
    })
    await mount.release()
    expect(await store.space.remove(entries)).toEqual(['removed', 'removed'])
  })

  it('what is found has its time of use renewed, at most once a minute', async () => {
    const store = await temporaryStore()
    const { id } = await committed(store)
    const marker = join(store.root, 'v1', 'snapshots', id, 'snapshot.json')
    const age = (ms: number) => utimesSync(marker, (now - ms) / 1000, (now - ms) / 1000)
    age(59_000)
    store.snapshots.has(id)
    expect(statSync(marker).mtimeMs).toBe(now - 59_000)
    age(61_000)
    store.snapshots.has(id)
    expect((await entryOf(store, 'snapshot')).usedMs).toBe(now)
    age(61_000)
    const path = join(store.root, 'v1', 'records', digestHex(key).slice(0, 2), `${digestHex(key)}.json`)
    utimesSync(path, 1, 1)
    store.records.get(key)
    expect((await entryOf(store, 'record')).usedMs).toBe(now)
    expect(readFileSync(path, 'utf8')).toContain(id)
  })

  it('disk() is of the file system of the store', async () => {
    const { space } = await temporaryStore()
    const { totalBytes, freeBytes } = space.disk()
    expect(freeBytes).toBeGreaterThan(0)
    expect(totalBytes).toBeGreaterThan(freeBytes)
  })

  it('remove() leaves a blob that somebody has named since', async () => {
    const store = await temporaryStore()
    await store.blobs.put(Buffer.from('blob'))
    store.releaseUses()
    const entry = await entryOf(store, 'blob')
    const asked: StoreEntry[] = []
    const still = (blob: StoreEntry) => {
      // Nobody can take it into use meanwhile.
      expect(tryRangeLock(join(store.root, 'v1/locks/uses'), rangeOf(blob.id), 'shared')).toBeUndefined()
      asked.push(blob)
      return asked.length > 1
    }
    expect(await store.space.remove([entry], still)).toEqual(['changed'])
    expect(await store.space.remove([entry], still)).toEqual(['removed'])
  })

  it('remove() does not make a blob look damaged to who reads it at that moment', async () => {
    const store = await temporaryStore()
    await store.blobs.put(Buffer.from('blob'))
    store.releaseUses()
    const reader = await reopened(store)
    const reading: Promise<unknown>[] = []
    const still = () => {
      const digest = digestBytes('blob')
      reading.push(reader.blobs.read(digest), reader.blobs.verify(digest), reader.blobs.size(digest))
      return false
    }
    expect(await store.space.remove([await entryOf(store, 'blob')], still)).toEqual(['changed'])
    expect(await Promise.all(reading)).toEqual([Buffer.from('blob'), true, 4])
    expect(await entriesOf(store, 'quarantine')).toEqual([])
  })

  it('inUse() sees what another opening of the store uses, and takes nothing itself', async () => {
    const store = await temporaryStore()
    const { id } = await committed(store)
    const make = async (directory: string) => writeFileSync(join(directory, 'fs'), '')
    const request = { scope: 'main', id: 'id', base: null, sharing: 'shared', make } as const
    const mount = await store.cacheMounts.open(request)
    await store.sources.workDirectory('name')
    const kinds = ['snapshot', 'cache-mount', 'source-work', 'record'] as const
    const entries = await Promise.all(kinds.map((kind) => entryOf(store, kind)))
    const other = await reopened(store)
    expect(other.space.inUse(entries)).toEqual([true, true, true, false])
    await mount.release()
    store.releaseUses()
    expect(other.space.inUse(entries)).toEqual([false, false, false, false])
    expect(other.snapshots.has(id)).toBe(true)
  })

  it('account() is what setAccount() wrote last, and nothing where that is no file', async () => {
    const store = await temporaryStore()
    expect(store.space.account()).toBeUndefined()
    store.space.setAccount('one')
    store.space.setAccount('two')
    expect((await reopened(store)).space.account()).toBe('two')
    const path = join(store.root, 'v1/index/account.json')
    rmSync(path)
    mkdirSync(path)
    expect(store.space.account()).toBeUndefined()
    expect(() => store.space.setAccount('three')).not.toThrow()
  })
})
