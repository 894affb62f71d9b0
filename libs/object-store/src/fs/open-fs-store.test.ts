import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { put, read } from '../testing/contract.ts'
import { fsStoreOptions, temporaryDirectory, temporaryFsStore } from '../testing/temporary-store.ts'
import { openFsStore } from './open-fs-store.ts'

const blob = `blobs/sha256/${'ab'.repeat(32)}`

describe('openFsStore()', () => {
  it('makes a store that only its user can read, with its format in a file', async () => {
    const root = join(temporaryDirectory(), 'not', 'yet', 'there')
    const store = await openFsStore(fsStoreOptions(root, { durability: 'full' }))
    await put(store, blob, 'x')
    await store.close()
    expect(readFileSync(join(root, 'version'), 'utf8')).toBe('tsbuild-objects 1\n')
    expect(statSync(root).mode & 0o777).toBe(0o700)
    expect(readdirSync(join(root, 'v1')).toSorted()).toEqual(['locks', 'objects', 'scratch', 'temporary'])
    expect(readdirSync(join(root, 'v1/objects/blobs=/sha256=/ab+'))).toEqual(['ab'.repeat(32)])
  })

  it('makes one store when ten openings make it at once', async () => {
    const options = fsStoreOptions(join(temporaryDirectory(), 'store'))
    const stores = await Promise.all(Array.from({ length: 10 }, () => openFsStore(options)))
    await Promise.all(stores.map((store, number) => put(store, `a/${number}`, 'x')))
    expect(readdirSync(options.root).toSorted()).toEqual(['v1', 'version'])
    for (const store of stores) await store.close()
    expect(readdirSync(join(options.root, 'v1/temporary'))).toEqual([])
  })

  it.each([
    ['tsbuild-objects 2\n', 'ERR_STORE_FORMAT'],
    ['tsbuild-objects 1', 'ERR_STORE_OPEN'],
    ['1\n', 'ERR_STORE_OPEN'],
    ['', 'ERR_STORE_OPEN'],
  ])('refuses a directory whose file "version" is %j, and changes nothing', async (text, code) => {
    const root = temporaryDirectory()
    writeFileSync(join(root, 'version'), text)
    await expect(openFsStore(fsStoreOptions(root))).rejects.toMatchObject({ code, kind: 'environment' })
    expect(readdirSync(root)).toEqual(['version'])
  })

  it('refuses a directory that holds something else, a file, and a relative path', async () => {
    const root = temporaryDirectory()
    writeFileSync(join(root, 'photo.jpg'), '')
    for (const wrong of [root, join(root, 'photo.jpg'), 'relative', `${root}\0`]) {
      const opening = openFsStore(fsStoreOptions(wrong))
      await expect(opening, wrong).rejects.toMatchObject({ kind: 'environment' })
    }
    expect(readdirSync(root)).toEqual(['photo.jpg'])
  })

  it('goes on where making a store was interrupted, and takes the root of a file system', async () => {
    const root = temporaryDirectory()
    mkdirSync(join(root, 'v1/objects'), { recursive: true })
    writeFileSync(join(root, `v1/version-${'0'.repeat(32)}`), 'tsbuild-obj')
    mkdirSync(join(root, 'lost+found'))
    const store = await openFsStore(fsStoreOptions(root))
    expect(await put(store, 'a', 'x')).toBe(true)
    await store.close()
  })

  it('removes what processes that died have left on the way in, and nothing of those that live', async () => {
    const root = temporaryDirectory()
    const options = fsStoreOptions(root)
    const alive = await openFsStore(options)
    const dead = join(root, 'v1/temporary', 'd'.repeat(32))
    mkdirSync(dead)
    writeFileSync(join(dead, 'half'), 'ha')
    const [session] = readdirSync(join(root, 'v1/temporary')).filter((name) => name !== 'd'.repeat(32))
    const other = await openFsStore(options)
    const sessions = readdirSync(join(root, 'v1/temporary'))
    expect(sessions).toHaveLength(2)
    expect(sessions).toContain(session)
    await alive.close()
    await other.close()
  })
})

describe('FsStore', () => {
  it('leaves no empty directory behind what was deleted', async () => {
    const store = await temporaryFsStore()
    await put(store, 'repositories/a/b/c', 'x')
    await put(store, 'repositories/a/d', 'x')
    await store.delete('repositories/a/b/c')
    expect(readdirSync(join(store.scratch, '../objects/repositories=/a='))).toEqual(['d'])
    await store.delete('repositories/a/d')
    expect(readdirSync(join(store.scratch, '../objects'))).toEqual([])
  })

  it('counts a directory or a link in the place of an object as none', async () => {
    const store = await temporaryFsStore()
    await put(store, 'a', 'x')
    const objects = join(store.scratch, '../objects')
    mkdirSync(join(objects, 'b'))
    expect(await store.head('b')).toBeUndefined()
    expect(await store.get('b')).toBeUndefined()
  })

  it('get() fails where the file has become shorter than it was said to be', async () => {
    const store = await temporaryFsStore()
    await put(store, 'a', Buffer.alloc(1024 * 1024))
    const body = await store.get('a')
    truncateSync(body?.path ?? '', 700_000)
    const reading = (async () => {
      for await (const _ of body?.stream ?? []);
    })()
    await expect(reading).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' })
  })

  it('takes a file of another file system by copying it', async () => {
    const store = await temporaryFsStore()
    const path = join('/dev/shm', `tsbuild-objects-${process.pid}`)
    writeFileSync(path, 'abc')
    const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    expect(await store.putIfAbsent('a', { path, size: 3 }, { sha256, size: 3 })).toBe(true)
    expect(await read(store, 'a')).toBe('abc')
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
  })
})
