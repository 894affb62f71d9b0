import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openStore, type Store } from './index.ts'
import { storeOptions, temporaryDirectory } from './testing/index.ts'

async function open() {
  const root = temporaryDirectory()
  const reopen = async (): Promise<Store> => {
    const store = await openStore(storeOptions(root))
    onTestFinished(() => store.close())
    return store
  }
  return { root, store: await reopen(), reopen }
}

describe('secretKey()', () => {
  it('secretKey() makes 32 bytes once, which only the owner can read', async () => {
    const { store, root, reopen } = await open()
    const path = join(root, 'v1', 'secret-key')
    const keys = await Promise.all([
      store.secretKey(),
      store.secretKey(),
      reopen().then((it) => it.secretKey()),
    ])
    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(1)
    expect([readFileSync(path).length, statSync(path).mode & 0o777]).toEqual([32, 0o600])
    expect(readFileSync(path)).toEqual(Buffer.from(keys[0] ?? []))
  })

  it.each([0, 31, 33])('secretKey() makes a new one in the place of %i bytes', async (length) => {
    const { store, root } = await open()
    const path = join(root, 'v1', 'secret-key')
    writeFileSync(path, Buffer.alloc(length, 1))
    chmodSync(path, 0o600)
    const key = await store.secretKey()
    expect(key).toHaveLength(32)
    expect(Buffer.from(await store.secretKey())).toEqual(Buffer.from(key))
  })
})
