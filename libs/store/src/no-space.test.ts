import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { EnvironmentError, withSource } from '@tsbuild/errors'
import { describe, expect, it, onTestFinished } from 'vitest'
import { withStoreSpace } from './fs-failure.ts'
import { openStore } from './open-store.ts'
import { storeOptions, temporaryDirectory } from './testing/temporary-store.ts'
import { verifyStore } from './testing/verify-store.ts'

/** A file system of 8 MiB with few inodes, or undefined where this machine lets us mount none. */
function smallFileSystem(): string | undefined {
  const directory = temporaryDirectory('small-')
  const image = join(directory, 'image')
  const mountPoint = join(directory, 'mounted')
  writeFileSync(image, '')
  truncateSync(image, 8 * 1024 * 1024)
  mkdirSync(mountPoint)
  try {
    execFileSync('mkfs.ext4', ['-q', '-N', '128', '-m', '0', '-O', '^has_journal', image], {
      stdio: 'ignore',
    })
    execFileSync('mount', ['-o', 'loop', image, mountPoint], { stdio: 'ignore' })
  } catch (error) {
    if (process.env.CI !== undefined) throw error
    return undefined
  }
  onTestFinished(() => {
    execFileSync('umount', [mountPoint])
  })
  return mountPoint
}

/** Takes all bytes that are free. @returns what gives them back */
function fill(mountPoint: string): () => void {
  const ballast = join(mountPoint, 'ballast')
  const megabyte = Buffer.alloc(1024 * 1024, 'x')
  for (let block = megabyte; block.length > 0; ) {
    try {
      writeFileSync(ballast, block, { flag: 'a' })
    } catch {
      block = block.subarray(0, block.length >> 1)
    }
  }
  return () => unlinkSync(ballast)
}

const chunk = Buffer.alloc(256 * 1024, 'b')
const tooMuch = () => Readable.from(Array.from({ length: 64 }, () => chunk))
const noSpace = { code: 'ERR_STORE_NO_SPACE', kind: 'environment' }

describe('a store on a full disk', () => {
  it('put() fails with the free bytes and a hint, leaves nothing, and works again when there is room', async (test) => {
    const root = smallFileSystem()
    if (root === undefined) return test.skip('no loop mounts here')
    const store = await openStore(storeOptions(root))
    const error: unknown = await store.blobs.put(tooMuch()).catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      ...noSpace,
      message: expect.stringMatching(/the file system is full, \d+ bytes and \d+ inodes are free/),
      details: { errno: 'ENOSPC', path: expect.stringContaining(root), freeBytes: expect.any(Number) },
      hints: [expect.stringContaining('--root')],
    })
    expect(readdirSync(join(root, 'v1', 'blobs', 'sha256'))).toEqual([])
    const source = tooMuch()
    await expect(store.blobs.put(source, { digest: digestBytes('big') })).rejects.toMatchObject(noSpace)
    expect(source.destroyed).toBe(true)
    const { digest } = await store.blobs.put(chunk)
    expect(await store.blobs.read(digest)).toEqual(chunk)
    await store.close()
    verifyStore(store)
  })

  it('commit() and set() fail whole, and the same works when there is room', async (test) => {
    const root = smallFileSystem()
    if (root === undefined) return test.skip('no loop mounts here')
    const store = await openStore(storeOptions(root))
    const draft = await store.snapshots.draft()
    const key = digestBytes('key')
    const image = { mediaType: 'm', digest: key, size: 1 }
    const text = JSON.stringify({ padding: 'x'.repeat(20_000) })
    const makeRoom = fill(root)
    await expect(draft.commit([{ keys: [key], text }])).rejects.toMatchObject(noSpace)
    expect([store.snapshots.has(draft.id), store.records.get(key)]).toEqual([false, undefined])
    const names = Array.from({ length: 100 }, (_, index) => `docker.io/library/image:${index}`)
    await expect(store.images.set(names, image)).rejects.toMatchObject(noSpace)
    expect(await store.images.list()).toEqual([])
    makeRoom()
    await store.records.put([{ keys: [key], text }])
    await store.images.set(names, image)
    expect([store.records.get(key), (await store.images.list()).length]).toEqual([text, 100])
    await store.close()
    expect(readdirSync(join(root, 'v1', 'snapshots'))).toEqual([])
    expect(readdirSync(join(root, 'v1', 'ingest'))).toEqual([])
  })

  it('open() of a cache mount fails whole, and the same works when there is room', async (test) => {
    const root = smallFileSystem()
    if (root === undefined) return test.skip('no loop mounts here')
    const store = await openStore(storeOptions(root))
    const make = async (directory: string) => mkdirSync(join(directory, 'fs'))
    const request = { scope: 'main', id: 'x'.repeat(20_000), base: null, sharing: 'locked', make } as const
    const makeRoom = fill(root)
    await expect(store.cacheMounts.open(request)).rejects.toMatchObject(noSpace)
    const mounts = join(root, 'v1', 'mounts')
    expect(readdirSync(mounts).flatMap((name) => readdirSync(join(mounts, name)))).toEqual([])
    makeRoom()
    await (await store.cacheMounts.open(request)).release()
    await store.close()
    execFileSync('mount', ['-o', 'remount,ro', root])
    const readOnly = await openStore(storeOptions(root))
    await expect(readOnly.cacheMounts.open(request)).rejects.toMatchObject({
      code: 'ERR_PERMISSION',
      message: expect.stringMatching(/Cannot .*mounted read-only/),
    })
    await readOnly.close()
  })

  it('draft() fails with the code when there are no inodes left', async (test) => {
    const root = smallFileSystem()
    if (root === undefined) return test.skip('no loop mounts here')
    const store = await openStore(storeOptions(root))
    const drafts = async () => {
      for (;;) await store.snapshots.draft()
    }
    await expect(drafts()).rejects.toMatchObject(noSpace)
    await store.close()
    expect(readdirSync(join(root, 'v1', 'snapshots'))).toEqual([])
    expect(readdirSync(join(root, 'v1', 'ingest'))).toEqual([])
  })

  it('openStore() reads a store that became read-only, and put() is refused', async (test) => {
    const root = smallFileSystem()
    if (root === undefined) return test.skip('no loop mounts here')
    const writable = await openStore(storeOptions(root))
    const { digest } = await writable.blobs.put(Buffer.from('x'))
    await writable.close()
    execFileSync('mount', ['-o', 'remount,ro', root])
    const store = await openStore(storeOptions(root))
    expect((await store.blobs.read(digest)).toString()).toBe('x')
    await expect(store.blobs.put(Buffer.from('y'))).rejects.toMatchObject({
      code: 'ERR_PERMISSION',
      message: expect.stringContaining('read-only'),
    })
    await store.close()
  })
})

describe('withStoreSpace()', () => {
  const helpers = (details?: Readonly<Record<string, unknown>>) =>
    new EnvironmentError('ERR_STORE_NO_SPACE', 'write("/x") = -1 ENOSPC', { details })

  it('gives what a helper said of a full disk the path, what is free and a hint, and keeps its place', () => {
    const source = { file: 'Dockerfile', startLine: 2, startColumn: 0, endLine: 2, endColumn: 1 }
    const said = withSource(helpers({ errno: 'ENOSPC' }), source)
    expect(withStoreSpace(said, tmpdir())).toMatchObject({
      ...noSpace,
      message: expect.stringMatching(/Cannot write in the store ".+": the file system is full, \d+ bytes/),
      cause: said,
      source,
      hints: [expect.stringContaining('--root')],
    })
  })

  it.each([
    ['the store said', helpers({ errno: 'ENOSPC', path: '/store/x' })],
    ['was said of an output', helpers()],
    ['is another error', new EnvironmentError('ERR_HELPER_SYSCALL', 'x', { details: { errno: 'EIO' } })],
    ['is no error of ours', new Error('x')],
  ])('leaves alone what %s', (_, error) => {
    expect(withStoreSpace(error, tmpdir())).toBe(error)
  })
})
