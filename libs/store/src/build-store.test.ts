import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openStore } from './open-store.ts'
import { storeOptions, temporaryDirectory, temporaryStore } from './testing/temporary-store.ts'
import type { Store } from './types.ts'

const refOf = (number: number) => number.toString(16).padStart(24, '0')
const refsOf = (store: Store) => store.builds.list().map(({ ref }) => ref)

/** A build of a time that has ended. */
function ended(store: Store, number: number, seconds = number): string {
  const { directory, end } = store.builds.begin(refOf(number))
  writeFileSync(join(directory, 'build.json'), '{}')
  utimesSync(directory, seconds, seconds)
  end()
  return directory
}

describe('DirectoryBuildStore', () => {
  it('begin() makes a directory that runs until it is ended, for every opening of the store', async () => {
    const root = temporaryDirectory()
    const [store, other] = await Promise.all([openStore(storeOptions(root)), openStore(storeOptions(root))])
    const build = store.builds.begin(refOf(1))
    expect(build.directory).toBe(join(root, 'v1', 'builds', refOf(1)))
    expect(statSync(build.directory).mode & 0o777).toBe(0o700)
    expect([store.builds.isRunning(refOf(1)), other.builds.isRunning(refOf(1))]).toEqual([true, true])
    build.end()
    build.end()
    expect([store.builds.isRunning(refOf(1)), other.builds.isRunning(refOf(1))]).toEqual([false, false])
    expect(other.builds.directory(refOf(1))).toBe(build.directory)
    await Promise.all([store.close(), other.close()])
  })

  it('begin() refuses a ref that is there, and lets go of its lock', async () => {
    const store = await temporaryStore()
    const { end } = store.builds.begin(refOf(1))
    expect(() => store.builds.begin(refOf(1))).toThrow(/it runs/)
    end()
    expect(() => store.builds.begin(refOf(1))).toThrow(/EEXIST/)
    expect(store.builds.isRunning(refOf(1))).toBe(false)
  })

  it.each(['', '../../x', 'a'.repeat(23), 'A'.repeat(24), `${'a'.repeat(24)}/`])(
    'takes %j for no ref',
    async (ref) => {
      const store = await temporaryStore()
      expect(() => store.builds.begin(ref)).toThrow(RangeError)
      expect([store.builds.directory(ref), store.builds.hold(ref), store.builds.isRunning(ref)]).toEqual([
        undefined,
        undefined,
        false,
      ])
      expect(await store.builds.remove([ref])).toEqual(['gone'])
    },
  )

  it('list() gives what changed last first, and nothing that is no build', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root))
    for (const number of [3, 1, 2]) ended(store, number)
    mkdirSync(join(root, 'v1', 'builds', 'not a ref'))
    expect(store.builds.list()).toEqual(
      [3, 2, 1].map((number) => ({ ref: refOf(number), changedMs: number * 1000 })),
    )
    await store.close()
  })

  it('remove() takes away what has ended and nothing that runs, is read or is gone', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root))
    const other = await openStore(storeOptions(root))
    for (const number of [1, 2, 3]) ended(store, number)
    const running = store.builds.begin(refOf(4))
    const held = other.builds.hold(refOf(2))
    const all = [1, 2, 3, 4, 5].map(refOf)
    expect(await store.builds.remove(all)).toEqual(['removed', 'in-use', 'removed', 'in-use', 'gone'])
    expect(refsOf(store).toSorted()).toEqual([refOf(2), refOf(4)])
    held?.release()
    running.end()
    expect(await store.builds.remove(all)).toEqual(['gone', 'removed', 'gone', 'removed', 'gone'])
    await Promise.all([store.close(), other.close()])
    expect(readdirSync(join(root, 'v1', 'builds'))).toEqual([])
    expect(readdirSync(join(root, 'v1', 'ingest'))).toEqual([])
  })

  it('hold() of one that runs keeps nothing from it, and several may hold one', async () => {
    const store = await temporaryStore()
    const build = store.builds.begin(refOf(1))
    const early = store.builds.hold(refOf(1))
    expect(early?.directory).toBe(build.directory)
    build.end()
    const [first, second] = [store.builds.hold(refOf(1)), store.builds.hold(refOf(1))]
    expect(store.builds.isRunning(refOf(1))).toBe(false)
    early?.release()
    first?.release()
    expect(await store.builds.remove([refOf(1)])).toEqual(['in-use'])
    second?.release()
    expect(await store.builds.remove([refOf(1)])).toEqual(['removed'])
  })

  it('sizeBytes() counts blocks of all files and directories', async () => {
    const store = await temporaryStore()
    const directory = ended(store, 1)
    mkdirSync(join(directory, 'logs'))
    writeFileSync(join(directory, 'logs', 'a'), Buffer.alloc(100_000, 1))
    const files = ['', 'build.json', 'logs', 'logs/a'].map((name) => statSync(join(directory, name)))
    expect(store.builds.sizeBytes(refOf(1))).toBe(files.reduce((sum, { blocks }) => sum + blocks * 512, 0))
    expect(store.builds.sizeBytes(refOf(1))).toBeGreaterThan(100_000)
    expect(store.builds.sizeBytes(refOf(2))).toBe(0)
  })

  it('space.remove() takes no build that runs or is read, and inUse() says so', async () => {
    const store = await temporaryStore()
    for (const number of [1, 2]) ended(store, number)
    const running = store.builds.begin(refOf(3))
    const held = store.builds.hold(refOf(2))
    const entries = (await store.space.list()).filter(({ kind }) => kind === 'build')
    const byRef = entries.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    expect(byRef.map(({ id }) => id)).toEqual([1, 2, 3].map(refOf))
    expect(store.space.inUse(byRef)).toEqual([false, true, true])
    expect(await store.space.remove(byRef)).toEqual(['removed', 'in-use', 'in-use'])
    held?.release()
    running.end()
    expect(refsOf(store).toSorted()).toEqual([refOf(2), refOf(3)])
  })

  it('works in a store that was made before there were builds', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    rmSync(join(root, 'v1', 'builds'), { recursive: true })
    const store = await openStore(storeOptions(root))
    expect(store.builds.list()).toEqual([])
    ended(store, 1)
    expect(existsSync(join(root, 'v1', 'builds', refOf(1), 'build.json'))).toBe(true)
    await store.close()
  })
})
