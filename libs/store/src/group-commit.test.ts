import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestBytes, digestHex } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { openStore } from './open-store.ts'
import { seal } from './seal.ts'
import { storeOptions, temporaryDirectory, temporaryStore } from './testing/temporary-store.ts'
import { recordText } from './testing/writer-protocol.ts'
import type { Store } from './types.ts'

const key = (name: string): Digest => digestBytes(name)

/** A sync that counts, waits to be let through, and can fail: what a disk does, decided by the test. */
function gatedSync() {
  const gates: { readonly pass: () => void; readonly fail: (error: Error) => void }[] = []
  let arrived = () => {}
  return {
    sync: () =>
      new Promise<void>((pass, fail) => {
        gates.push({ pass, fail })
        arrived()
      }),
    calls: () => gates.length,
    /** Resolves when the sync with this number (from 1) has begun. */
    async call(number: number) {
      while (gates.length < number) await new Promise<void>((resolve) => (arrived = resolve))
      const gate = gates[number - 1]
      if (gate === undefined) throw new Error('unreachable: the loop waits for it')
      return gate
    },
  }
}

/** An open store whose making is over, so that only commits sync. */
async function gatedStore(): Promise<{ readonly store: Store; readonly gate: ReturnType<typeof gatedSync> }> {
  const root = temporaryDirectory()
  await (await openStore(storeOptions(root))).close()
  const gate = gatedSync()
  return { store: await openStore(storeOptions(root, { sync: gate.sync })), gate }
}

function commitNamed(store: Store, name: string): Promise<void> {
  return store.records.put([{ keys: [key(name)], text: `{"name":"${name}"}` }])
}

describe('GroupCommit', () => {
  it('commit() has all bytes on disk and no name given when it syncs, and names both afterwards', async () => {
    const { store, gate } = await gatedStore()
    const draft = await store.snapshots.draft()
    const text = recordText(draft.id)
    const committed = draft.commit([{ keys: [key('a'), key('b')], text }])
    const { pass } = await gate.call(1)

    const ingest = join(store.root, 'v1', 'ingest')
    const contents = readdirSync(ingest, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith('draft-'))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    const sealed = [
      seal(draft.id, '{"createdMs":1700000000000}'),
      ...['a', 'b'].map((name) => seal(digestHex(key(name)), text)),
    ]
    expect(contents.toSorted()).toEqual(sealed.toSorted())
    expect(store.snapshots.has(draft.id)).toBe(false)
    expect(store.records.get(key('a'))).toBeUndefined()

    pass()
    await committed
    expect(store.snapshots.has(draft.id)).toBe(true)
    expect([store.records.get(key('a')), store.records.get(key('b'))]).toEqual([text, text])
    expect(gate.calls()).toBe(1)
    await store.close()
  })

  it('commit() of 20 steps while one sync is under way takes one more sync', async () => {
    const { store, gate } = await gatedStore()
    const first = commitNamed(store, 'first')
    const { pass } = await gate.call(1)
    const others = Array.from({ length: 19 }, (_, step) => commitNamed(store, `step ${step}`))
    pass()
    await first
    ;(await gate.call(2)).pass()
    await Promise.all(others)
    expect(gate.calls()).toBe(2)
    expect(store.records.get(key('step 18'))).toBe('{"name":"step 18"}')
    await store.close()
  })

  it('commit() that fails does not fail the others of its batch', async () => {
    const { store, gate } = await gatedStore()
    const bad = key('bad')
    const blocked = join(store.root, 'v1', 'records', digestHex(bad).slice(0, 2))
    writeFileSync(blocked, 'in the way')
    const good = commitNamed(store, 'good')
    const failing = commitNamed(store, 'bad')
    const alsoGood = commitNamed(store, 'also good')
    const outcome = expect(failing).rejects.toMatchObject({
      code: 'ERR_STORE_IO',
      details: { errno: 'ENOTDIR' },
    })
    ;(await gate.call(1)).pass()
    await Promise.all([good, alsoGood, outcome])
    expect(store.records.get(key('good'))).toBeDefined()
    await store.close()
    expect(readdirSync(join(store.root, 'v1', 'ingest'))).toEqual([])
  })

  it('commit() takes the name of a record from a directory that has come there', async () => {
    const store = await temporaryStore()
    const hex = digestHex(key('a'))
    mkdirSync(join(store.root, 'v1', 'records', hex.slice(0, 2), `${hex}.json`, 'full'), { recursive: true })
    await commitNamed(store, 'a')
    expect(store.records.get(key('a'))).toBe('{"name":"a"}')
    await store.close()
    expect(readdirSync(join(store.root, 'v1', 'ingest'))).toEqual([])
  })

  it('commit() that cannot write its record leaves the snapshot a draft, which close() deletes', async () => {
    const store = await temporaryStore()
    rmSync(join(store.root, 'v1', 'records'), { recursive: true })
    const draft = await store.snapshots.draft()
    const commit = draft.commit([{ keys: [key('a')], text: '{}' }])
    await expect(commit).rejects.toMatchObject({ code: 'ERR_STORE_IO', details: { errno: 'ENOENT' } })
    expect(store.snapshots.has(draft.id)).toBe(false)
    await store.close()
    expect(readdirSync(join(store.root, 'v1', 'snapshots'))).toEqual([])
  })

  it('commit() never believes a sync after one that failed', async () => {
    const { store, gate } = await gatedStore()
    const draft = await store.snapshots.draft()
    const first = draft.commit([{ keys: [key('a')], text: '{}' }])
    const second = gate.call(1).then(({ fail }) => {
      const waiting = commitNamed(store, 'b')
      fail(Object.assign(new Error('EIO: i/o error, syncfs'), { code: 'EIO', syscall: 'syncfs' }))
      return waiting
    })
    await expect(first).rejects.toMatchObject({ code: 'ERR_STORE_IO', details: { errno: 'EIO' } })
    await expect(second).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
    await expect(commitNamed(store, 'c')).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
    expect(gate.calls()).toBe(1)
    expect(store.snapshots.has(draft.id)).toBe(false)
    await store.close()
  })

  it('close() waits for commits under way', async () => {
    const { store, gate } = await gatedStore()
    const order: string[] = []
    const committed = commitNamed(store, 'a').then(() => order.push('committed'))
    const { pass } = await gate.call(1)
    const closed = store.close().then(() => order.push('closed'))
    pass()
    await Promise.all([committed, closed])
    expect(order).toEqual(['committed', 'closed'])
  })

  it('put() replaces the earlier record of a key, the later of one batch too', async () => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [key('a'), key('b')], text: '1' }])
    await Promise.all(['2', '3'].map((text) => store.records.put([{ keys: [key('a')], text }])))
    expect([store.records.get(key('a')), store.records.get(key('b'))]).toEqual(['3', '1'])
  })

  it('get() takes what is no file with text for missing', async () => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [key('a')], text: '1' }])
    const path = join(
      store.root,
      'v1',
      'records',
      digestHex(key('a')).slice(0, 2),
      `${digestHex(key('a'))}.json`,
    )
    writeFileSync(path, '')
    expect(store.records.get(key('a'))).toBeUndefined()
    rmSync(path)
    mkdirSync(path)
    expect(store.records.get(key('a'))).toBeUndefined()
  })

  it('durability none never syncs', async () => {
    const sync = () => expect.unreachable('a sync')
    const store = await temporaryStore({ durability: 'none', sync })
    const draft = await store.snapshots.draft()
    await draft.commit([{ keys: [key('a')], text: '{}' }])
    await store.blobs.put(Buffer.from('x'))
    expect(store.snapshots.has(draft.id)).toBe(true)
  })
})
