import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { openStore } from './open-store.ts'
import { storeOptions, temporaryDirectory, temporaryStore } from './testing/temporary-store.ts'
import { verifyStore } from './testing/verify-store.ts'

describe('openStore', () => {
  it('openStore() makes a store that only its owner can enter, and opens it again', async () => {
    const root = join(temporaryDirectory(), 'a', 'b')
    const first = await openStore(storeOptions(root))
    expect(statSync(root).mode & 0o777).toBe(0o700)
    const { digest } = await first.blobs.put(Buffer.from('x'))
    await first.close()
    const again = await openStore(storeOptions(root))
    expect(await again.blobs.size(digest)).toBe(1)
    await again.close()
    verifyStore(again)
  })

  it('openStore() closes an empty directory that others could read', async () => {
    const root = temporaryDirectory()
    chmodSync(root, 0o755)
    await openStore(storeOptions(root))
    expect(statSync(root).mode & 0o777).toBe(0o700)
  })

  it('openStore() writes nothing when the store is there and nothing is stored', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    const before = readdirSync(root, { recursive: true }).sort()
    const sync = () => expect.unreachable('a sync')
    const randomId = () => expect.unreachable('a session')
    const store = await openStore(storeOptions(root, { sync, randomId }))
    expect(store.records.get(digestBytes('k'))).toBeUndefined()
    expect(await store.images.get('docker.io/library/a:1')).toBeUndefined()
    await store.close()
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(before)
  })

  it.each(['with spaces', 'a,b:c', 'new\nline', 'back\\slash', 'ünï'])(
    'openStore() works below %j',
    async (name) => {
      const store = await openStore(storeOptions(join(temporaryDirectory(), name)))
      const { digest } = await store.blobs.put(Buffer.from('x'))
      const draft = await store.snapshots.draft()
      await draft.commit([{ keys: [digest], text: '{}' }])
      await store.locks.withLock(name, async () => {})
      expect(store.snapshots.has(draft.id)).toBe(true)
      expect(store.records.get(digest)).toBe('{}')
      await store.close()
    },
  )

  it.each([
    ['version says so', (root: string) => writeFileSync(join(root, 'version'), '2\n'), 'ERR_STORE_FORMAT'],
    ['directory is all there is', (root: string) => mkdirSync(join(root, 'v2')), 'ERR_STORE_FORMAT'],
    ['version is garbage', (root: string) => writeFileSync(join(root, 'version'), '\0'), 'ERR_STORE_CORRUPT'],
  ])('openStore() refuses a store of another layout when the %s', async (_, prepare, code) => {
    const root = temporaryDirectory()
    prepare(root)
    await expect(openStore(storeOptions(root))).rejects.toMatchObject({ code, kind: 'environment' })
    expect(existsSync(join(root, 'v1'))).toBe(false)
  })

  it('openStore() makes the directories above, and comes to an end where none can be made', async () => {
    const root = join(temporaryDirectory(), 'a/b/c')
    await (await openStore(storeOptions(root))).close()
    expect(existsSync(join(root, 'v1'))).toBe(true)
    // mkdir(2) says ENOENT there though the directory above exists.
    await expect(openStore(storeOptions('/proc/tsbuild/store'))).rejects.toMatchObject({
      kind: 'environment',
      code: 'ERR_STORE_IO',
    })
  })

  it('openStore() refuses a directory that holds something else, a file, and a relative path', async () => {
    const root = temporaryDirectory()
    const file = join(root, 'notes.txt')
    writeFileSync(file, 'mine')
    for (const path of [root, file, join(file, 'below'), 'relative']) {
      await expect(openStore(storeOptions(path)), path).rejects.toMatchObject({ code: 'ERR_STORE_OPEN' })
    }
    expect(readdirSync(root)).toEqual(['notes.txt'])
  })

  it.skipIf(process.getuid?.() !== 0)(
    "openStore() refuses another user's store, finished or not",
    async () => {
      const root = temporaryDirectory()
      await (await openStore(storeOptions(root))).close()
      // The directory itself may be anybody's: a volume.
      chownSync(root, 1001, 1001)
      await (await openStore(storeOptions(root))).close()
      chownSync(join(root, 'v1'), 1001, 1001)
      const refused = { code: 'ERR_STORE_OPEN', message: expect.stringContaining('it belongs to user 1001') }
      await expect(openStore(storeOptions(root))).rejects.toMatchObject(refused)
      rmSync(join(root, 'version'))
      await expect(openStore(storeOptions(root))).rejects.toMatchObject(refused)
      expect(existsSync(join(root, 'version'))).toBe(false)
    },
  )

  it('openStore() finishes a store whose making was interrupted', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    for (const lost of ['version', 'v1/index.json', 'v1/records'])
      rmSync(join(root, lost), { recursive: true })
    const store = await openStore(storeOptions(root))
    await store.close()
    verifyStore(store)
  })

  it('openStore() at once in one empty directory gives all the same store', async () => {
    const root = temporaryDirectory()
    const stores = await Promise.all(Array.from({ length: 8 }, () => openStore(storeOptions(root))))
    const name = 'docker.io/library/a:1'
    const digest = digestBytes('m')
    await Promise.all(
      stores.map((store, i) => store.images.set([`${name}${i}`], { mediaType: 'm', digest, size: 1 })),
    )
    expect(await stores[0]?.images.list()).toHaveLength(8)
    await Promise.all(stores.map((store) => store.close()))
  })

  it('close() deletes drafts and ingests that did not end', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root))
    const kept = await store.snapshots.draft()
    writeFileSync(join(kept.upper, 'data'), `data of ${kept.id}`)
    await kept.commit([])
    const dropped = await store.snapshots.draft()
    await store.blobs.ingest().then((ingest) => ingest.abort())
    await store.close()
    expect(store.snapshots.has(kept.id)).toBe(true)
    expect(existsSync(dropped.upper)).toBe(false)
    verifyStore(store)
  })

  it('cacheFile() gives each name a file in a directory that exists', async () => {
    const store = await temporaryStore()
    const path = store.cacheFile('fingerprints', '/a/context')
    expect(store.cacheFile('fingerprints', '/a/context')).toBe(path)
    expect(store.cacheFile('fingerprints', '/b/context')).not.toBe(path)
    expect(store.cacheFile('probe', '/a/context')).not.toBe(path)
    writeFileSync(path, 'x')
  })

  it('putFileList() keeps a list; a damaged one counts as missing and is written anew', async () => {
    const store = await temporaryStore()
    const text = Buffer.from('a\nb\n')
    const digest = digestBytes(text)
    expect(await store.getFileList(digest)).toBeUndefined()
    await store.putFileList(digest, text)
    await store.putFileList(digest, text)
    expect(await store.getFileList(digest)).toBe('a\nb\n')
    for (const damage of ['', 'a\nc\n']) {
      writeFileSync(join(store.root, 'v1', 'files', digest.slice(7)), damage)
      expect(await store.getFileList(digest)).toBeUndefined()
    }
    writeFileSync(join(store.root, 'v1', 'files', digest.slice(7)), '')
    await store.putFileList(digest, text)
    expect(await store.getFileList(digest)).toBe('a\nb\n')
    await expect(store.putFileList(digestBytes('z'), text)).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
  })
})
