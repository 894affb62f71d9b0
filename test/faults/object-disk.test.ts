import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type OpenObjectStore, openFsStore } from '@tsbuild/object-store'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { repository } from '../support/repository.ts'
import { run } from '../support/tsbuild.ts'
import { makeDisk } from './disk.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-faults-object-disk-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const randomId = () => randomBytes(16).toString('hex')
const openStore = (root: string, durability: 'full' | 'none') =>
  openFsStore({ root, now: Date.now, randomId, durability })
const textOf = async (store: OpenObjectStore, key: string) => {
  const body = await store.get(key)
  return body && (await buffer(body.stream))
}

describe('an object store in a directory', () => {
  it('counts what several processes count at once', async () => {
    const root = join(folder, 'store')
    const program = join(repository, 'test/faults/object-counter.mjs')
    const counting = Array.from({ length: 4 }, () =>
      run(process.execPath, [program, root, '25'], { cwd: repository }),
    )
    for (const { code, stderr } of await Promise.all(counting))
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const store = await openStore(root, 'none')
    expect((await textOf(store, 'count'))?.toString()).toBe('100')
    expect(readdirSync(join(root, 'v1/temporary'))).toHaveLength(1)
    await store.close()
  })

  it('on a full disk keeps what it has, leaves nothing half, and goes on when there is room', async (t) => {
    needs(t, 'root', 'loop devices')
    const disk = await makeDisk(join(folder, 'disk'), { megabytes: 16 })
    try {
      const store = await openStore(join(disk.folder, 'store'), 'full')
      const kept = new Map<string, Buffer>()
      const put = async (bytes: Buffer) => {
        const sha256 = createHash('sha256').update(bytes).digest('hex')
        await store.putIfAbsent(`blobs/${sha256}`, bytes, { sha256, size: bytes.length })
        kept.set(`blobs/${sha256}`, bytes)
      }
      const filling = (async () => {
        for (;;) await put(randomBytes(1024 * 1024))
      })()
      await expect(filling).rejects.toMatchObject({
        code: 'ERR_STORE_NO_SPACE',
        message: expect.stringMatching(/\d+ bytes and \d+ inodes are free/),
      })
      expect(kept.size).toBeGreaterThan(4)
      for (const [key, bytes] of kept) expect((await textOf(store, key))?.equals(bytes)).toBe(true)
      const listed: string[] = []
      for await (const { key } of store.list('')) listed.push(key)
      expect(listed).toEqual([...kept.keys()].toSorted())
      const session = readdirSync(join(disk.folder, 'store/v1/temporary'))[0] ?? ''
      expect(readdirSync(join(disk.folder, 'store/v1/temporary', session))).toEqual([])
      for (const key of [...kept.keys()].slice(0, 3)) expect(await store.delete(key)).toBe(true)
      await put(randomBytes(1024 * 1024))
      await store.close()
    } finally {
      await disk.remove()
    }
  })
})
