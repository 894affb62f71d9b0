import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import type { DescribeRecord } from './step-index-types.ts'
import { temporaryStore } from './testing/temporary-store.ts'
import type { Store } from './types.ts'

const [make, test] = [digestBytes('RUN make'), digestBytes('RUN test')]
const keyOf = (number: number) => digestBytes(`record ${number}`)
const dayMs = 24 * 3_600_000

/** A record of the tests says what step it is of, and when it ran. */
const describeText: DescribeRecord = (text) => {
  const [, step = '', at] = /^(\S+) (\d+)$/.exec(text) ?? []
  return at === undefined ? undefined : { identities: [digestBytes(`RUN ${step}`)], at: Number(at) }
}
const keysOf = async (store: Store, identity = make) =>
  (await store.steps.find(identity, describeText)).flatMap(({ keys }) => keys)
const folder = (store: Store, ...parts: readonly string[]) => join(store.root, 'v1', 'index', ...parts)
const files = (store: Store) => readdirSync(folder(store, 'steps')).filter((name) => name !== 'whole')

/** A store whose index is whole. */
async function indexedStore(): Promise<Store> {
  const store = await temporaryStore()
  await keysOf(store)
  return store
}

describe('DirectoryStepIndex', () => {
  it('find() gives the newest few records of an identity, and none of another', async () => {
    const store = await indexedStore()
    for (let number = 0; number < 9; number++) store.steps.add([make], { keys: [keyOf(number)], at: number })
    store.steps.add([test], { keys: [keyOf(1), keyOf(2)], at: 5 })
    expect(await keysOf(store)).toEqual([8, 7, 6, 5].map(keyOf))
    expect(await store.steps.find(test, describeText)).toEqual([{ keys: [keyOf(1), keyOf(2)], at: 5 }])
    expect(await keysOf(store, digestBytes('RUN other'))).toEqual([])
  })

  it('find() has a record once that was added again', async () => {
    const store = await indexedStore()
    for (const number of [1, 2, 1]) store.steps.add([make], { keys: [keyOf(number)], at: number })
    expect(await keysOf(store)).toEqual([keyOf(1), keyOf(2)])
  })

  it('find() reads the records of a store of before, once, and not for a store with an index', async () => {
    const store = await temporaryStore()
    await store.records.put([
      { keys: [keyOf(1)], text: 'make 10' },
      { keys: [keyOf(2)], text: 'make 20' },
      { keys: [keyOf(3)], text: 'test 5' },
      { keys: [keyOf(4)], text: 'damaged' },
    ])
    expect(await keysOf(store)).toEqual([keyOf(2), keyOf(1)])
    expect(await keysOf(store, test)).toEqual([keyOf(3)])
    const asked: string[] = []
    await store.steps.find(test, (text) => void asked.push(text))
    expect(asked).toEqual([])
  })

  it.each<[string, (text: string) => string]>([
    ['is empty', () => ''],
    ['ends early', (text) => text.slice(0, -1)],
    ['ends after a digit', (text) => text.slice(0, -40)],
    ['has another format', (text) => text.replace('-v1', '-v2')],
    ['has a line of something else', (text) => `${text}x\n`],
    ['has a damaged key', (text) => text.replace(/[0-9a-f]\n$/, 'z\n')],
  ])('find() makes the index again from the records when its file %s', async (_, damage) => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [keyOf(1)], text: 'make 10' }])
    await keysOf(store)
    const [file = ''] = files(store)
    const path = folder(store, 'steps', file)
    const before = readFileSync(path, 'utf8')
    writeFileSync(path, damage(before))
    expect(await keysOf(store)).toEqual([keyOf(1)])
    expect(readFileSync(path, 'utf8')).toBe(before)
  })

  it('find() makes it again when a file was damaged at any byte, or gives what is still right', async () => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [keyOf(1)], text: 'make 10' }])
    await keysOf(store)
    const [file = ''] = files(store)
    const bytes = readFileSync(folder(store, 'steps', file))
    for (const at of bytes.keys()) {
      const damaged = Buffer.from(bytes)
      damaged[at] = (bytes[at] ?? 0) ^ 0x40
      writeFileSync(folder(store, 'steps', file), damaged)
      for (const { keys } of await store.steps.find(make, describeText)) expect(keys).toHaveLength(1)
    }
  })

  it('find() makes all of it again when the folder is gone', async () => {
    const root = await temporaryStore()
    await root.records.put([{ keys: [keyOf(1)], text: 'make 10' }])
    rmSync(folder(root), { recursive: true, force: true })
    expect(await keysOf(root)).toEqual([keyOf(1)])
  })

  it('add() to a damaged file leaves the rest to be made again by the next opening', async () => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [keyOf(1)], text: 'make 10' }])
    await keysOf(store)
    const [file = ''] = files(store)
    writeFileSync(folder(store, 'steps', file), 'garbage')
    store.steps.add([make], { keys: [keyOf(2)], at: 20 })
    expect(readdirSync(folder(store, 'steps'))).not.toContain('whole')
  })

  it('a file keeps a bounded number of lines', async () => {
    const store = await indexedStore()
    const all = Array.from({ length: 100_000 }, (_, number) => digestBytes(String(number)))
    const alike = all.filter((digest) => digest.startsWith('sha256:ab')).slice(0, 150)
    expect(alike).toHaveLength(150)
    for (let round = 0; round < 4; round++)
      for (const identity of alike) store.steps.add([identity], { keys: [keyOf(round)], at: round })
    expect(readFileSync(folder(store, 'steps', 'ab'), 'utf8').split('\n')).toHaveLength(514)
  })

  it('eviction() says when and why a record was removed, and forgets it in time', async () => {
    let now = 100 * dayMs
    const store = await temporaryStore({ now: () => now })
    store.steps.evicted([keyOf(1), keyOf(2)], { at: now, reason: 'unused for\n60 days' })
    store.steps.evicted([keyOf(1)], { at: now + 1, reason: '' })
    expect(store.steps.eviction([keyOf(1)])).toEqual({ at: now + 1, reason: '' })
    expect(store.steps.eviction([keyOf(9), keyOf(2)])).toEqual({ at: now, reason: 'unused for 60 days' })
    expect(store.steps.eviction([keyOf(9)])).toBeUndefined()
    now += 61 * dayMs
    expect(store.steps.eviction([keyOf(2)])).toBeUndefined()
  })

  it('eviction() passes over damaged lines and files', async () => {
    const store = await temporaryStore()
    const at = 1_700_000_000_000
    store.steps.evicted([keyOf(1)], { at, reason: 'why' })
    const [file = ''] = readdirSync(folder(store, 'evicted'))
    const path = folder(store, 'evicted', file)
    writeFileSync(path, readFileSync(path, 'utf8').replace('\n', '\nnonsense\n'))
    expect(store.steps.eviction([keyOf(1)])).toEqual({ at, reason: 'why' })
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0]))
    expect(store.steps.eviction([keyOf(1)])).toBeUndefined()
    store.steps.evicted([keyOf(1)], { at, reason: 'again' })
    expect(store.steps.eviction([keyOf(1)])).toEqual({ at, reason: 'again' })
  })
})
