import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openStore } from './open-store.ts'
import { storeOptions, temporaryDirectory, temporaryStore } from './testing/temporary-store.ts'
import type { SourceStore } from './types.ts'

async function commit(sources: SourceStore, name: string, data: string, text = '{}') {
  const draft = await sources.draft()
  writeFileSync(join(draft.path, 'data'), data)
  return draft.commit(name, text)
}

const dataOf = (source: { readonly path: string } | undefined) =>
  source === undefined ? undefined : readFileSync(join(source.path, 'data'), 'utf8')

describe('DirectorySourceStore', () => {
  it('draft() makes a directory that a commit keeps at its path and a release deletes', async () => {
    const { sources } = await temporaryStore()
    const [kept, dropped] = [await sources.draft(), await sources.draft()]
    for (const { path } of [kept, dropped]) writeFileSync(join(path, 'file'), 'x')
    expect(statSync(kept.path).mode & 0o777).toBe(0o755)
    expect(await kept.commit('a', '{"etag":"1"}')).toEqual({ path: kept.path, text: '{"etag":"1"}' })
    await dropped.release()
    expect([existsSync(join(kept.path, 'file')), existsSync(dropped.path)]).toEqual([true, false])
    expect(sources.get('a')).toEqual({ path: kept.path, text: '{"etag":"1"}' })
    expect(sources.get('b')).toBeUndefined()
  })

  it('commit() replaces what a name stands for, and leaves the tree to those who read it', async () => {
    const { sources } = await temporaryStore()
    const first = await commit(sources, 'a', 'one')
    const second = await commit(sources, 'a', 'two', '{"second":true}')
    expect(sources.get('a')).toEqual(second)
    expect([dataOf(first), dataOf(second)]).toEqual(['one', 'two'])
  })

  it('commit() of eight at once leaves one whole tree under the name', async () => {
    const { sources } = await temporaryStore()
    const eight = Array.from({ length: 8 }, (_, index) => String(index))
    await Promise.all(eight.map((data) => commit(sources, 'a', data, JSON.stringify(data))))
    const found = sources.get('a')
    expect(JSON.stringify(dataOf(found))).toBe(found?.text)
  })

  it('name() gives a tree a second name, and a name another text', async () => {
    const { sources } = await temporaryStore()
    const source = await commit(sources, 'url', 'x', 'old')
    expect(await sources.name(source, 'digest', 'other')).toEqual({ path: source.path, text: 'other' })
    await sources.name(source, 'url', 'new')
    expect(sources.get('url')).toEqual({ path: source.path, text: 'new' })
    expect(sources.get('digest')).toEqual({ path: source.path, text: 'other' })
  })

  it.each(['/etc', '', 'relative/fs'])('name() refuses %j, which is no tree of the store', async (path) => {
    const { sources } = await temporaryStore()
    await expect(sources.name({ path, text: '' }, 'a', '')).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
    expect(sources.get('a')).toBeUndefined()
  })

  it('get() takes a damaged name, and one whose tree is gone, for unknown', async () => {
    const { sources, root } = await temporaryStore()
    const source = await commit(sources, 'a', 'x')
    const [name = ''] = readdirSync(join(root, 'v1', 'sources', 'names'))
    const path = join(root, 'v1', 'sources', 'names', name)
    const good = readFileSync(path, 'utf8')
    const elsewhere = JSON.stringify({ tree: '../../../..', text: '' })
    for (const text of ['', '{', '[]', 'null', '{"tree":1,"text":""}', elsewhere]) {
      writeFileSync(path, text)
      expect(sources.get('a'), text).toBeUndefined()
    }
    writeFileSync(path, good)
    expect(sources.get('a')).toEqual(source)
    rmSync(join(source.path, '..', 'source.json'))
    expect(sources.get('a')).toBeUndefined()
  })

  it('get() keeps nothing of a name but its hash', async () => {
    const { sources, root } = await temporaryStore()
    await commit(sources, 'https://host/?token=CANARY', 'x')
    await sources.workDirectory('https://host/CANARY')
    const paths = readdirSync(root, { recursive: true, withFileTypes: true })
    expect(paths.filter(({ name }) => name.includes('CANARY'))).toEqual([])
    for (const entry of paths.filter((found) => found.isFile()))
      expect(readFileSync(join(entry.parentPath, entry.name), 'utf8')).not.toContain('CANARY')
  })

  it('workDirectory() is one directory for a name, also for another opening', async () => {
    const root = temporaryDirectory()
    const [first, second] = [await openStore(storeOptions(root)), await openStore(storeOptions(root))]
    const path = await first.sources.workDirectory('https://host/repo.git')
    expect(statSync(path).mode & 0o777).toBe(0o700)
    writeFileSync(join(path, 'HEAD'), 'x')
    await first.close()
    expect(await second.sources.workDirectory('https://host/repo.git')).toBe(path)
    expect(await second.sources.workDirectory('https://host/other.git')).not.toBe(path)
    await second.close()
    expect(readFileSync(join(path, 'HEAD'), 'utf8')).toBe('x')
  })

  it('scratch() makes a new directory each time, which goes with the session', async () => {
    const removed: string[] = []
    const removeTrees = async (paths: readonly string[]) => {
      removed.push(...paths)
      for (const path of paths) rmSync(path, { recursive: true })
    }
    const store = await openStore(storeOptions(temporaryDirectory(), { removeTrees }))
    const [first, second] = [await store.sources.scratch(), await store.sources.scratch()]
    expect(first).not.toBe(second)
    expect(statSync(first).mode & 0o777).toBe(0o700)
    writeFileSync(join(first, 'file'), 'x')
    await store.close()
    // It may hold files of other ids, which only the store's own way of deleting trees can delete.
    expect(removed.toSorted()).toEqual([first, second].toSorted())
    expect(existsSync(join(first, '..'))).toBe(false)
  })

  it('close() deletes drafts that did not end', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root))
    const source = await commit(store.sources, 'a', 'x')
    const dropped = await store.sources.draft()
    await store.close()
    expect([existsSync(source.path), existsSync(dropped.path)]).toEqual([true, false])
  })

  it('opens a store that was made before there were sources', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    rmSync(join(root, 'v1', 'sources'), { recursive: true })
    const store = await openStore(storeOptions(root))
    expect(store.sources.get('a')).toBeUndefined()
    expect(existsSync(await store.sources.workDirectory('a'))).toBe(true)
    const source = await commit(store.sources, 'a', 'x')
    expect(store.sources.get('a')).toEqual(source)
    await store.close()
    expect(statSync(join(root, 'v1', 'sources')).mode & 0o777).toBe(0o700)
  })

  it('commit() fails when nothing can be made durable, and the name stays unknown', async () => {
    const sync = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'syncfs' }))
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    const store = await openStore(storeOptions(root, { sync }))
    await expect(commit(store.sources, 'a', 'x')).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
    expect(store.sources.get('a')).toBeUndefined()
    await store.close()
    expect(readdirSync(join(root, 'v1', 'sources', 'trees'))).toEqual([])
  })
})
