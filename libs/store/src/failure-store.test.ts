import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openStore } from './open-store.ts'
import { storeOptions, temporaryDirectory, temporaryStore } from './testing/temporary-store.ts'
import { writerProcesses } from './testing/writer-process.ts'
import type { Store } from './types.ts'

const spawnWriter = writerProcesses()
/** Each look is a second later. */
function clock(): () => number {
  let seconds = 1_700_000_000
  return () => {
    seconds += 1
    return seconds * 1000
  }
}

const refOf = (number: number) => number.toString(16).padStart(24, '0')

async function keep(store: Store, ref: string, text = '{}') {
  const draft = await store.snapshots.draft()
  writeFileSync(join(draft.upper, 'data'), ref)
  return { draft, kept: await draft.keep(ref, text) }
}

const refsOf = (store: Store) => store.failures.list().map(({ ref }) => ref)

describe('DirectoryFailureStore', () => {
  it('keep() makes a draft a failure, which later openings find with its tree', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root))
    expect(store.failures.list()).toEqual([])
    const { draft, kept } = await keep(store, refOf(1), '{"step":"RUN make"}')
    expect([kept, existsSync(draft.upper)]).toEqual([true, false])
    await store.close()
    const later = await openStore(storeOptions(root))
    const [failure] = later.failures.list()
    expect(failure).toEqual({
      ref: refOf(1),
      path: join(root, 'v1', 'failures', refOf(1), 'fs'),
      text: '{"step":"RUN make"}',
    })
    expect(readFileSync(join(failure?.path ?? '', 'data'), 'utf8')).toBe(refOf(1))
    await later.close()
    expect(readdirSync(join(root, 'v1', 'snapshots'))).toEqual([])
  })

  it('keep() keeps the first failure of a build and deletes the tree of the second', async () => {
    const store = await temporaryStore()
    await keep(store, refOf(1), 'first')
    const { draft, kept } = await keep(store, refOf(1), 'second')
    expect([kept, existsSync(draft.upper)]).toEqual([false, false])
    expect(store.failures.list().map(({ text }) => text)).toEqual(['first'])
  })

  it('keep() keeps the newest five, newest first, and deletes the trees of the others', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root, { now: clock() }))
    for (const number of [3, 1, 4, 5, 9, 2, 6]) await keep(store, refOf(number))
    expect(refsOf(store)).toEqual([6, 2, 9, 5, 4].map(refOf))
    await store.close()
    expect(readdirSync(join(root, 'v1', 'failures'))).toHaveLength(5)
    expect(readdirSync(join(root, 'v1', 'ingest'))).toEqual([])
  })

  it.each(['', '../../x', 'a'.repeat(23), 'A'.repeat(24), `${'a'.repeat(24)}/`])(
    'keep() refuses the ref %j and deletes the tree',
    async (ref) => {
      const store = await temporaryStore()
      const draft = await store.snapshots.draft()
      await expect(draft.keep(ref, '{}')).rejects.toThrow(RangeError)
      expect(existsSync(draft.upper)).toBe(false)
      expect(await store.failures.use(ref, async () => 1)).toBeUndefined()
    },
  )

  it('use() keeps a failure from going while newer ones come, also when two look around in it', async () => {
    const store = await temporaryStore({ keptFailures: 1, now: clock() })
    await keep(store, refOf(1))
    const inside = await store.failures.use(refOf(1), async ({ path }) => {
      const again = await store.failures.use(refOf(1), async () => 'second')
      await keep(store, refOf(2))
      await keep(store, refOf(3))
      return [again, readFileSync(join(path, 'data'), 'utf8'), refsOf(store)]
    })
    expect(inside).toEqual({ value: [{ value: 'second' }, refOf(1), [refOf(3), refOf(1)]] })
    await keep(store, refOf(4))
    expect(refsOf(store)).toEqual([refOf(4)])
    expect(await store.failures.use(refOf(1), async () => 1)).toBeUndefined()
  })

  it('list() leaves out what a power cut left, and the next failure takes it away', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root, { keptFailures: 1, now: clock() }))
    await keep(store, refOf(1))
    rmSync(join(root, 'v1', 'failures', refOf(1), 'failure.json'))
    mkdirSync(join(root, 'v1', 'failures', 'not a ref'))
    expect(store.failures.list()).toEqual([])
    await keep(store, refOf(2))
    await store.close()
    expect(readdirSync(join(root, 'v1', 'failures')).toSorted()).toEqual([refOf(2), 'not a ref'])
  })

  it('opens a store that was made before there were failures', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    rmSync(join(root, 'v1', 'failures'), { recursive: true })
    const store = await openStore(storeOptions(root))
    expect([store.failures.list(), await store.failures.use(refOf(1), async () => 1)]).toEqual([
      [],
      undefined,
    ])
    expect((await keep(store, refOf(1))).kept).toBe(true)
    await store.close()
    expect(statSync(join(root, 'v1', 'failures')).mode & 0o777).toBe(0o700)
  })

  it('keep() of eight processes at once leaves whole failures, and of one ref exactly one', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    const writers = Array.from({ length: 8 }, () => spawnWriter(root, { do: 'fail', times: 3 }))
    for (const writer of writers) expect(await writer.ended).toEqual({ code: 0, signal: null })
    const store = await openStore(storeOptions(root))
    const refs = refsOf(store)
    expect(new Set(refs).size).toBe(refs.length)
    expect(refs.length).toBeGreaterThan(0)
    for (const { ref, path, text } of store.failures.list()) {
      expect(JSON.parse(text)).toEqual({ ref })
      expect(readFileSync(join(path, 'data'), 'utf8')).toBe(`failed in ${ref}`)
    }
    await store.close()
    expect(readdirSync(join(root, 'v1', 'ingest'))).toEqual([])
  }, 60_000)
})
