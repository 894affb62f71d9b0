import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { EnvironmentError } from '@tsbuild/errors'
import { memoryStore, runObjectStoreContract } from '@tsbuild/object-store/testing'
import { describe, expect, it, vi } from 'vitest'
import { boundedStore, Room } from './room.ts'

function openBounded() {
  const onHigh = vi.fn()
  const limits = { maxBytes: 100, highBytes: 80 }
  const room = new Room(onHigh)
  room.measured(0, limits)
  const inner = memoryStore()
  const store = boundedStore(inner, room)
  const put = (key: string, size: number) => {
    const bytes = Buffer.alloc(size, key)
    return store.putIfAbsent(key, bytes, { sha256: createHash('sha256').update(bytes).digest('hex'), size })
  }
  return { store, inner, room, limits, onHigh, put }
}

describe('boundedStore()', () => {
  it('refuses what there is no room for, asks once for room, and takes it when there is some', async () => {
    const { store, room, limits, onHigh, put } = openBounded()
    await put('a', 70)
    expect(onHigh).not.toHaveBeenCalled()
    await put('b', 30)
    expect([room.bytes, onHigh.mock.calls.length]).toEqual([100, 1])
    for (const _ of [1, 2])
      await expect(put('c', 1)).rejects.toMatchObject({ code: 'ERR_STORE_NO_SPACE', kind: 'environment' })
    expect(onHigh).toHaveBeenCalledTimes(1)
    expect(await store.head('c')).toBeUndefined()
    expect(await put('a', 70)).toBe(false)
    await store.delete('a')
    room.measured(30, limits)
    expect(await put('c', 1)).toBe(true)
    expect(await store.cas('names/a', null, Buffer.from('x'))).toBeDefined()
  })

  it('destroys the stream of what it refuses', async () => {
    const { store, put } = openBounded()
    await put('a', 100)
    const source = new Readable({ read() {} })
    await expect(store.putIfAbsent('b', source, { sha256: 'x', size: 1 })).rejects.toThrow()
    expect(source.destroyed).toBe(true)
  })

  it('asks for room where the disk says that it is full', async () => {
    const { inner, onHigh, put } = openBounded()
    vi.spyOn(inner, 'putIfAbsent').mockRejectedValue(
      new EnvironmentError('ERR_STORE_NO_SPACE', 'Cannot write'),
    )
    await expect(put('a', 1)).rejects.toMatchObject({ code: 'ERR_STORE_NO_SPACE' })
    expect(onHigh).toHaveBeenCalledTimes(1)
  })
})

describe('boundedStore() with room', () => {
  runObjectStoreContract(async () => {
    let now = 1_700_000_000_000
    const inner = memoryStore({ now: () => now })
    const room = new Room(() => expect.unreachable())
    const store = boundedStore(inner, room)
    return {
      store,
      another: async () => boundedStore(inner, room),
      advance: (ms) => {
        now += ms
      },
    }
  })
})
