import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openKeyRing, removeKey, rotateKeys } from './key-ring.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cache-server-keys-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('openKeyRing()', () => {
  it('makes one key that only its owner can read, and finds it again', async () => {
    const first = await openKeyRing(dir)
    expect((await openKeyRing(dir)).keys[0].id).toBe(first.keys[0].id)
    expect(readdirSync(join(dir, 'keys'))).toEqual(['000001.pem'])
    expect(statSync(join(dir, 'keys/000001.pem')).mode & 0o777).toBe(0o600)
    expect(statSync(join(dir, 'keys')).mode & 0o777).toBe(0o700)
  })

  it('makes one key when many ask for it at once', async () => {
    const rings = await Promise.all(Array.from({ length: 16 }, () => openKeyRing(dir)))
    expect(new Set(rings.map(({ keys }) => keys[0].id)).size).toBe(1)
    expect(readdirSync(join(dir, 'keys'))).toEqual(['000001.pem'])
  })

  it('refuses a key that others may read, and one that is none', async () => {
    await openKeyRing(dir)
    chmodSync(join(dir, 'keys/000001.pem'), 0o640)
    await expect(openKeyRing(dir)).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' })
    chmodSync(join(dir, 'keys/000001.pem'), 0o600)
    writeFileSync(join(dir, 'keys/000001.pem'), 'nothing')
    await expect(openKeyRing(dir)).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' })
  })
})

describe('rotateKeys() and removeKey()', () => {
  it('sign with the newest, believe all, and forget on demand', async () => {
    const [first] = (await openKeyRing(dir)).keys
    const { keys } = await rotateKeys(dir)
    expect(keys.map(({ id }) => id)).toEqual([keys[0].id, first.id])
    expect(keys[0].id).not.toBe(first.id)
    await expect(removeKey(dir, keys[0].id)).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' })
    await removeKey(dir, first.id)
    expect((await openKeyRing(dir)).keys.map(({ id }) => id)).toEqual([keys[0].id])
    await expect(removeKey(dir, first.id)).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' })
  })

  it('rotate at the same moment to a key each', async () => {
    await Promise.all(Array.from({ length: 4 }, () => rotateKeys(dir)))
    expect((await openKeyRing(dir)).keys).toHaveLength(5)
  })
})
