import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ObjectInfo, ObjectSource, ObjectStore, OpenObjectStore, PutExpectation } from '../types.ts'
import { maxCasBytes } from '../types.ts'
import { hostileKeys, keysInOrder } from './keys.ts'

/** A store under test. */
export interface StoreUnderTest {
  readonly store: OpenObjectStore
  /** A second opening of the same storage, as another process has it. */
  another(): Promise<OpenObjectStore>
  /** Sets the clock of both forward, in ms. */
  advance(ms: number): void
}

/** A fresh, empty store for each test; what it opened ends with the test. */
export type OpenStoreUnderTest = () => Promise<StoreUnderTest>

/** What bytes must be. */
export function expectationOf(bytes: Uint8Array): PutExpectation {
  return { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length }
}

/** Puts bytes under a key. */
export function put(store: ObjectStore, key: string, text: string | Uint8Array): Promise<boolean> {
  const bytes = Buffer.from(text)
  return store.putIfAbsent(key, bytes, expectationOf(bytes))
}

/** All bytes of an object, or a range of them, as text. */
export async function read(
  store: ObjectStore,
  key: string,
  range?: { readonly start: number; readonly end?: number },
): Promise<string | undefined> {
  const body = await store.get(key, { range })
  return body === undefined ? undefined : (await buffer(body.stream)).toString()
}

/** Every object that a store lists. */
export async function listAll(
  store: ObjectStore,
  prefix = '',
  options: { readonly after?: string } = {},
): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = []
  for await (const info of store.list(prefix, options)) found.push(info)
  return found
}

const keysOf = (infos: readonly ObjectInfo[]) => infos.map(({ key }) => key)
const inChunks = (text: string) => Readable.from([...text].map((char) => Buffer.from(char)))

function fileOf(text: string): Extract<ObjectSource, { path: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-object-source-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'file')
  writeFileSync(path, text)
  return { path, size: Buffer.byteLength(text) }
}

const sources: readonly (readonly [string, (text: string) => ObjectSource])[] = [
  ['bytes', (text) => Buffer.from(text)],
  ['a stream', inChunks],
  ['a file', fileOf],
]

/** What every {@link OpenObjectStore} does. An engine's own tests call it with the ways to open one. */
export function runObjectStoreContract(open: OpenStoreUnderTest): void {
  describe('OpenObjectStore', () => {
    putting(open)
    refusing(open)
    reading(open)
    listing(open)
    deleting(open)
    replacing(open)
    misuse(open)
  })
}

function putting(open: OpenStoreUnderTest): void {
  it.each(sources)('putIfAbsent() stores %s once, and says so', async (_, source) => {
    const { store, advance } = await open()
    const expected = expectationOf(Buffer.from('bytes'))
    expect(await store.putIfAbsent('blobs/a', source('bytes'), expected)).toBe(true)
    const first = await store.head('blobs/a')
    expect(first).toMatchObject({ key: 'blobs/a', size: 5 })
    advance(1000)
    expect(await store.putIfAbsent('blobs/a', source('bytes'), expected)).toBe(false)
    const second = await store.head('blobs/a')
    expect(second?.version).toBe(first?.version)
    expect((second?.modifiedMs ?? 0) - (first?.modifiedMs ?? 0)).toBe(1000)
    expect(await read(store, 'blobs/a')).toBe('bytes')
  })

  it.each(sources)('putIfAbsent() of no bytes, as %s, is an object', async (_, source) => {
    const { store } = await open()
    expect(await store.putIfAbsent('empty', source(''), expectationOf(Buffer.alloc(0)))).toBe(true)
    expect(await read(store, 'empty')).toBe('')
    expect(await store.head('empty')).toMatchObject({ size: 0 })
  })

  it('putIfAbsent() of 20 MiB gives them back', async () => {
    const { store } = await open()
    const bytes = Buffer.alloc(20 * 1024 * 1024, 'abcdefg')
    const pieces = Readable.from([bytes.subarray(0, 7), bytes.subarray(7)])
    expect(await store.putIfAbsent('large', pieces, expectationOf(bytes))).toBe(true)
    const body = await store.get('large')
    const hash = createHash('sha256')
    for await (const chunk of body?.stream ?? []) hash.update(chunk)
    expect(hash.digest('hex')).toBe(expectationOf(bytes).sha256)
  })

  it('putIfAbsent() of the same object 50 times at once, by two openings, makes one', async () => {
    const { store, another } = await open()
    const stores = [store, await another()]
    const bytes = Buffer.from('the same bytes')
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, number) => {
        const source = sources[number % sources.length]?.[1]('the same bytes') ?? bytes
        return (stores[number % 2] ?? store).putIfAbsent('blobs/same', source, expectationOf(bytes))
      }),
    )
    expect(outcomes.filter(Boolean)).toHaveLength(1)
    expect(keysOf(await listAll(store))).toEqual(['blobs/same'])
    expect(await read(store, 'blobs/same')).toBe('the same bytes')
  })

  it('putIfAbsent() takes a file over when it resolves, and leaves it where it rejects', async () => {
    const { store } = await open()
    const [first, second, bad] = [fileOf('bytes'), fileOf('bytes'), fileOf('bytes')]
    const expected = expectationOf(Buffer.from('bytes'))
    await store.putIfAbsent('a', first, expected)
    await store.putIfAbsent('a', second, expected)
    await expect(store.putIfAbsent('b', bad, { ...expected, size: 4 })).rejects.toThrow()
    expect([first, second, bad].map(({ path }) => existsSync(path))).toEqual([false, false, true])
  })
}

function refusing(open: OpenStoreUnderTest): void {
  it.each(sources.slice(0, 2))(
    'putIfAbsent() of %s that is not the expected one is never visible',
    async (_, source) => {
      const { store } = await open()
      const expected = expectationOf(Buffer.from('bytes'))
      const wrong = store.putIfAbsent('a', source('BYTES'), expected)
      await expect(wrong).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH', kind: 'user' })
      for (const text of ['byte', 'bytes and more']) {
        const put = store.putIfAbsent('a', source(text), expected)
        await expect(put).rejects.toMatchObject({ code: 'ERR_SIZE_MISMATCH', kind: 'user' })
      }
      expect(await store.head('a')).toBeUndefined()
      expect(await listAll(store)).toEqual([])
    },
  )

  it('putIfAbsent() passes a failure of the stream on, and leaves nothing', async () => {
    const { store } = await open()
    const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })
    const failing = Readable.from(
      (async function* () {
        yield Buffer.from('by')
        throw reset
      })(),
    )
    await expect(store.putIfAbsent('a', failing, expectationOf(Buffer.from('bytes')))).rejects.toBe(reset)
    expect(await store.head('a')).toBeUndefined()
  })

  it('putIfAbsent() destroys a stream that it does not need', async () => {
    const { store } = await open()
    await put(store, 'a', 'bytes')
    const source = new Readable({ read: () => expect.unreachable('the stream was read') })
    expect(await store.putIfAbsent('a', source, expectationOf(Buffer.from('bytes')))).toBe(false)
    expect(source.destroyed).toBe(true)
  })

  it('putIfAbsent() that is cancelled in the middle of its stream stores nothing', async () => {
    const { store } = await open()
    const controller = new AbortController()
    const source = new Readable({ read() {} })
    source.push(Buffer.from('by'))
    const { signal } = controller
    const putting = store.putIfAbsent('a', source, expectationOf(Buffer.from('bytes')), { signal })
    setImmediate(() => controller.abort())
    await expect(putting).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(source.destroyed).toBe(true)
    expect(await store.head('a')).toBeUndefined()
  })
}

function reading(open: OpenStoreUnderTest): void {
  it('get() and head() know nothing of what is not there', async () => {
    const { store } = await open()
    await put(store, 'a/b', 'x')
    for (const key of ['a', 'b', 'a/b/c', 'a/bb']) {
      expect(await store.get(key)).toBeUndefined()
      expect(await store.head(key)).toBeUndefined()
    }
  })

  it.each([
    [{ start: 0 }, '0123456789'],
    [{ start: 0, end: 0 }, '0'],
    [{ start: 3, end: 5 }, '345'],
    [{ start: 9 }, '9'],
    [{ start: 5, end: 9 }, '56789'],
    [{ start: 5, end: 1000 }, '56789'],
  ])('get() of the range %j gives "%s"', async (range, expected) => {
    const { store } = await open()
    await put(store, 'digits', '0123456789')
    expect(await read(store, 'digits', range)).toBe(expected)
    const body = await store.get('digits', { range })
    expect(body?.info.size).toBe(10)
    body?.stream.destroy()
  })

  it.each([{ start: 10 }, { start: 11, end: 12 }, { start: 5, end: 4 }, { start: -1 }, { start: 0.5 }])(
    'get() refuses the range %j of 10 bytes',
    async (range) => {
      const { store } = await open()
      await put(store, 'digits', '0123456789')
      await expect(store.get('digits', { range })).rejects.toMatchObject({ code: 'ERR_RANGE' })
    },
  )

  it('get() goes on giving the bytes that it began with, whatever becomes of the object', async () => {
    const { store } = await open()
    const first = await store.cas('name', null, Buffer.alloc(1024 * 1024, 'a'))
    const replaced = await store.get('name')
    const second = await store.cas('name', first?.version ?? null, Buffer.from('b'))
    expect(second).toBeDefined()
    expect((await buffer(replaced?.stream ?? inChunks(''))).every((byte) => byte === 97)).toBe(true)
    await put(store, 'blob', Buffer.alloc(1024 * 1024, 'c'))
    const deleted = await store.get('blob')
    expect(await store.delete('blob')).toBe(true)
    expect(await buffer(deleted?.stream ?? inChunks(''))).toHaveLength(1024 * 1024)
  })

  it('head() touches what is older than it is asked for, and only that', async () => {
    const { store, advance } = await open()
    await put(store, 'a', 'x')
    const { modifiedMs = 0, version } = (await store.head('a')) ?? {}
    advance(5000)
    expect((await store.head('a', { touchBefore: modifiedMs }))?.modifiedMs).toBe(modifiedMs)
    const touched = await store.head('a', { touchBefore: modifiedMs + 1 })
    expect(touched).toMatchObject({ modifiedMs: modifiedMs + 5000, version })
    expect(await store.head('a')).toEqual(touched)
    expect(await store.head('b', { touchBefore: modifiedMs })).toBeUndefined()
  })
}

function listing(open: OpenStoreUnderTest): void {
  it('list() gives every object below a prefix, in the order of their bytes', async () => {
    const { store } = await open()
    await Promise.all(keysInOrder.map((key) => put(store, key, key)))
    const all = await listAll(store)
    expect(keysOf(all)).toEqual(keysInOrder)
    for (const { key, size, version, modifiedMs } of all) {
      expect(await store.head(key)).toEqual({ key, size, version, modifiedMs })
    }
    for (const prefix of [
      'a',
      'a/',
      'a/b',
      'ab',
      'blobs/sha256/',
      'blobs/sha256/ab',
      'nothing',
      ...keysInOrder,
    ]) {
      const expected = keysInOrder.filter((key) => key.startsWith(prefix))
      expect(keysOf(await listAll(store, prefix)), prefix).toEqual(expected)
    }
  })

  it('list() goes on after any key, also one that is not there', async () => {
    const { store } = await open()
    await Promise.all(keysInOrder.map((key) => put(store, key, key)))
    for (const after of [...keysInOrder, 'a/zz', '0', 'zzz', 'blobs/sha256/ab']) {
      const expected = keysInOrder.filter((key) => key > after)
      expect(keysOf(await listAll(store, '', { after })), after).toEqual(expected)
    }
    const below = keysInOrder.filter((key) => key.startsWith('a/') && key > 'a/b')
    expect(keysOf(await listAll(store, 'a/', { after: 'a/b' }))).toEqual(below)
  })

  it('list() gives once what stays, while other things come and go', async () => {
    const { store, another } = await open()
    const other = await another()
    const names = Array.from({ length: 40 }, (_, number) => `${number}`.padStart(3, '0'))
    await Promise.all(names.map((name) => put(store, `stay/${name}`, name)))
    await Promise.all(names.map((name) => put(store, `go/${name}`, name)))
    const seen: string[] = []
    let turn = 0
    for await (const { key } of store.list('')) {
      seen.push(key)
      const name = names[turn++ % names.length]
      await Promise.all([other.delete(`go/${name}`), put(other, `come/${name}`, `${name}`)])
    }
    expect(seen.filter((key) => key.startsWith('stay/'))).toEqual(names.map((name) => `stay/${name}`))
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual(seen.toSorted())
  })

  it('list() may be left early, and stops when it is cancelled', async () => {
    const { store } = await open()
    await Promise.all(['a', 'b', 'c'].map((key) => put(store, key, key)))
    for await (const { key } of store.list('')) {
      expect(key).toBe('a')
      break
    }
    const signal = AbortSignal.abort()
    const listed = (async () => {
      for await (const _ of store.list('', { signal }));
    })()
    await expect(listed).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })
}

function deleting(open: OpenStoreUnderTest): void {
  it('delete() makes an object be gone, and says so also where it was', async () => {
    const { store, another } = await open()
    await put(store, 'a/b', 'x')
    const other = await another()
    expect(await store.delete('a/b')).toBe(true)
    expect(await store.delete('a/b')).toBe(true)
    expect(await other.head('a/b')).toBeUndefined()
    expect(await listAll(other)).toEqual([])
    expect(await put(other, 'a/b', 'x')).toBe(true)
    expect(await read(store, 'a/b')).toBe('x')
  })

  it('delete() with a condition leaves what was put or touched again', async () => {
    const { store, another, advance } = await open()
    const other = await another()
    await put(store, 'a', 'x')
    const seen = await store.head('a')
    const condition = { version: seen?.version ?? '', notAfterMs: seen?.modifiedMs }
    advance(10)
    expect(await put(other, 'a', 'x')).toBe(false)
    expect(await store.delete('a', condition)).toBe(false)
    expect(await read(store, 'a')).toBe('x')
    const { modifiedMs = 0 } = (await other.head('a')) ?? {}
    advance(10)
    expect(await store.delete('a', { ...condition, notAfterMs: modifiedMs - 1 })).toBe(false)
    expect(await store.delete('a', { ...condition, notAfterMs: modifiedMs })).toBe(true)
    expect(await store.delete('a', condition)).toBe(true)
  })

  it('delete() with a condition leaves what has another version', async () => {
    const { store } = await open()
    const first = await store.cas('a', null, Buffer.from('1'))
    const second = await store.cas('a', first?.version ?? null, Buffer.from('2'))
    expect(await store.delete('a', { version: first?.version ?? '' })).toBe(false)
    expect(await store.delete('a', { version: second?.version ?? '' })).toBe(true)
  })

  it('delete() and putIfAbsent() at one moment never lose what was put', async () => {
    const { store, another, advance } = await open()
    const other = await another()
    await put(store, 'a', 'x')
    for (let round = 0; round < 25; round += 1) {
      const seen = await store.head('a')
      advance(10)
      const [gone] = await Promise.all([
        store.delete('a', { version: seen?.version ?? '', notAfterMs: seen?.modifiedMs }),
        put(other, 'a', 'x'),
        put(other, 'a', 'x'),
      ])
      expect(await read(store, 'a'), `round ${round}, deleted: ${gone}`).toBe('x')
    }
  })
}

function replacing(open: OpenStoreUnderTest): void {
  it('cas() makes, changes and deletes where the version is the expected one', async () => {
    const { store, another } = await open()
    const other = await another()
    const first = await store.cas('name', null, Buffer.from('1'))
    expect(first).toEqual({ version: expect.any(String) })
    expect(await other.head('name')).toMatchObject({ version: first?.version, size: 1 })
    expect(await other.cas('name', null, Buffer.from('2'))).toBeUndefined()
    expect(await other.cas('name', 'some other', Buffer.from('2'))).toBeUndefined()
    const second = await other.cas('name', first?.version ?? '', Buffer.from('2'))
    expect(second?.version).not.toBe(first?.version)
    expect(await store.cas('name', first?.version ?? '', null)).toBeUndefined()
    expect(await read(store, 'name')).toBe('2')
    expect(await store.cas('name', second?.version ?? '', null)).toEqual({ version: null })
    expect(await store.head('name')).toBeUndefined()
    expect(await store.cas('name', second?.version ?? '', Buffer.from('3'))).toBeUndefined()
    expect(await store.cas('name', null, null)).toEqual({ version: null })
  })

  it('cas() lets one of 20 racers win each round, from two openings', async () => {
    const { store, another } = await open()
    const stores = [store, await another()]
    const race = (round: number, old: string | null) =>
      Promise.all(
        Array.from({ length: 20 }, (_, racer) =>
          (stores[racer % 2] ?? store).cas('name', old, Buffer.from(`${round} ${racer}`)),
        ),
      )
    let version: string | null = null
    for (let round = 0; round < 5; round += 1) {
      const outcomes = await race(round, version)
      const winners = outcomes.flatMap((outcome, racer) =>
        outcome === undefined ? [] : [{ racer, outcome }],
      )
      expect(winners).toHaveLength(1)
      expect(await read(store, 'name')).toBe(`${round} ${winners[0]?.racer}`)
      version = winners[0]?.outcome.version ?? null
    }
  })

  it('cas() by 8 who count one up each counts them all', async () => {
    const { store, another } = await open()
    const stores = [store, await another()]
    const addOne = async (mine: ObjectStore) => {
      for (;;) {
        const body = await mine.get('count')
        const value = body === undefined ? 0 : Number((await buffer(body.stream)).toString())
        const changed = await mine.cas('count', body?.info.version ?? null, Buffer.from(`${value + 1}`))
        if (changed !== undefined) return
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, number) => addOne(stores[number % 2] ?? store)))
    expect(await read(store, 'count')).toBe('8')
  })

  it('cas() gives a value that was made anew another version than the one before', async () => {
    const { store } = await open()
    const versions = new Set<string | null | undefined>()
    for (let round = 0; round < 10; round += 1) {
      const made = await store.cas('name', null, Buffer.from(`${round}`))
      versions.add(made?.version)
      expect(await store.cas('name', made?.version ?? '', null)).toBeDefined()
    }
    expect(versions.size).toBe(10)
  })

  it('cas() takes 4 MiB and refuses a byte more', async () => {
    const { store } = await open()
    expect(await store.cas('name', null, Buffer.alloc(maxCasBytes))).toBeDefined()
    const more = store.cas('other', null, Buffer.alloc(maxCasBytes + 1))
    await expect(more).rejects.toMatchObject({ code: 'ERR_OBJECT_TOO_LARGE' })
    expect(await store.head('other')).toBeUndefined()
  })
}

function misuse(open: OpenStoreUnderTest): void {
  const calls = (store: ObjectStore, key: string, signal?: AbortSignal) => [
    store.get(key, { signal }),
    store.head(key, { signal }),
    store.delete(key, undefined, { signal }),
    store.cas(key, null, Buffer.from('x'), { signal }),
    store.putIfAbsent(key, Buffer.from('x'), expectationOf(Buffer.from('x')), { signal }),
  ]

  it.each(hostileKeys)('every call refuses the key %j', async (key) => {
    const { store } = await open()
    const outcomes = await Promise.allSettled(calls(store, key))
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_OBJECT_KEY', kind: 'user' } })
  })

  it('every call rejects when its signal has fired, and does nothing', async () => {
    const { store } = await open()
    for (const outcome of await Promise.allSettled(calls(store, 'a', AbortSignal.abort())))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_CANCELLED' } })
    expect(await listAll(store)).toEqual([])
  })

  it('probe() resolves while it is open, and close() makes every call reject', async () => {
    const { store } = await open()
    await store.probe(new AbortController().signal)
    const putting = put(store, 'a', 'x')
    await store.close()
    expect(await putting).toBe(true)
    await store.close()
    for (const outcome of await Promise.allSettled([...calls(store, 'a'), listAll(store)]))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_STORAGE_UNAVAILABLE' } })
    await expect(store.probe(new AbortController().signal)).rejects.toMatchObject({
      code: 'ERR_STORAGE_UNAVAILABLE',
    })
  })
}
