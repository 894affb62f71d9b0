import { describe, expect, it } from 'vitest'
import { createDiskRoom } from './disk-room.ts'

const full = expect.objectContaining({ code: 'ERR_STORE_NO_SPACE' })

describe('createDiskRoom()', () => {
  it('takes no more at one time than there is room for in all', () => {
    const room = createDiskRoom(() => 1000, 300)
    const first = room.reserve(400)
    expect(() => room.reserve(300)).toThrow(full)
    const second = room.reserve(299)
    expect(() => room.reserve(1)).toThrow(full)
    second.release()
    second.release()
    room.reserve(299).release()
    first.release()
    room.reserve(699)
  })

  it('counts what is written once: as announced before, as not free afterwards', () => {
    let free = 1000
    const room = createDiskRoom(() => free, 300)
    const first = room.reserve(400)
    free -= 250
    first.wrote(250)
    room.reserve(299)
    expect(() => room.reserve(1)).toThrow(full)
  })

  it('ends a body that is longer than was announced where the room ends', () => {
    let free = 1000
    const room = createDiskRoom(() => free, 300)
    const one = room.reserve(0)
    const write = (bytes: number) => {
      free -= bytes
      one.wrote(bytes)
    }
    write(500)
    write(199)
    expect(() => write(1)).toThrow(full)
  })
})
