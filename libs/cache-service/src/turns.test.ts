import { describe, expect, it } from 'vitest'
import { Turns } from './turns.ts'

/** A body that goes on until it is told to end. */
function held() {
  let end = () => {}
  let begun = false
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const body = async () => {
    begun = true
    await ended
  }
  return { body, end: () => end(), begun: () => begun }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('Turns', () => {
  it('lets so many of one name go on, so many wait, and refuses the rest; other names do not notice', async () => {
    const turns = new Turns(2, 2)
    const all = Array.from({ length: 4 }, held)
    const under = all.map(({ body }) => turns.take('a', body))
    await settled()
    expect(all.map(({ begun }) => begun())).toEqual([true, true, false, false])
    await expect(turns.take('a', async () => {})).rejects.toMatchObject({ status: 429 })
    expect(await turns.take('b', async () => 'at once')).toBe('at once')
    all[1]?.end()
    await settled()
    expect(all.map(({ begun }) => begun())).toEqual([true, true, true, false])
    for (const { end } of all) end()
    await Promise.all(under)
    expect(await turns.take('a', async () => 'again')).toBe('again')
  })

  it('a body that fails gives its place to the next', async () => {
    const turns = new Turns(1, 1)
    const failed = turns.take('a', async () => {
      throw new Error('no')
    })
    const next = turns.take('a', async () => 'next')
    await expect(failed).rejects.toThrow('no')
    expect(await next).toBe('next')
  })
})
