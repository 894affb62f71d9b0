import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import type { CacheRecord } from '@tsbuild/solver'
import { openStore, type Store } from '@tsbuild/store'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createLocalCache, encodeRecord } from './index.ts'

const record: CacheRecord = {
  outputKey: digestBytes('output'),
  name: 'RUN x',
  op: { kind: 'exec.v1' },
  inputs: [],
  stored: 'stored',
  createdAt: 1,
  durationMs: 2,
}
const [a, b] = [digestBytes('a'), digestBytes('b')]

/** A real store that goes when the test ends. */
async function temporaryStore(sync: () => Promise<void> = async () => {}): Promise<Store> {
  const root = mkdtempSync(join(tmpdir(), 'tsbuild-cache-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const store = await openStore({
    root,
    now: () => 1_700_000_000_000,
    randomId: () => randomBytes(16).toString('hex'),
    sync,
    removeTrees: async (paths) =>
      paths.forEach((path) => void rmSync(path, { recursive: true, force: true })),
    durability: 'full',
  })
  onTestFinished(() => store.close())
  return store
}

describe('createLocalCache()', () => {
  it('load() gives a record of the store, and nothing for another key', async () => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [a], text: encodeRecord(record) }])
    const cache = createLocalCache(store)
    expect(cache.load(a)).toEqual(record)
    expect(cache.load(b)).toBeUndefined()
  })

  it('load() misses where the store has something else under the key', async () => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [a], text: 'damaged' }])
    expect(createLocalCache(store).load(a)).toBeUndefined()
  })

  it('link() makes a record found under another key once settled() resolves', async () => {
    const store = await temporaryStore()
    const cache = createLocalCache(store)
    cache.link(b, record)
    await cache.settled()
    expect(createLocalCache(store).load(b)).toEqual(record)
  })

  it('link() costs nothing but the link when the store cannot be written', async () => {
    let broken = false
    const store = await temporaryStore(async () => {
      if (broken) throw new Error('EIO')
    })
    broken = true
    await expect(store.records.put([{ keys: [a], text: 'x' }])).rejects.toThrow('EIO')
    const cache = createLocalCache(store)
    cache.link(b, record)
    await expect(cache.settled()).resolves.toBeUndefined()
  })
})
