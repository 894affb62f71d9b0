import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { createLimits, type Limits } from './limits.ts'

let time: number
let limits: Limits
beforeEach(() => {
  time = 0
  limits = createLimits(8, () => time)
})

/** How many of many calls are under way at a time. */
async function width(registry = 'a.example'): Promise<number> {
  let open = 0
  let most = 0
  const call = async () => {
    most = Math.max(most, ++open)
    await new Promise((resolve) => setImmediate(resolve))
    open--
    throw new Error('no success')
  }
  await Promise.allSettled(Array.from({ length: 20 }, () => limits.run(registry, undefined, call)))
  return most
}

const succeed = async (times: number) => {
  for (let n = 0; n < times; n++) await limits.run('a.example', undefined, async () => undefined)
}

describe('createLimits()', () => {
  it('lets so many calls to one registry in, whatever others do', async () => {
    limits.throttled('b.example')
    expect([await width(), await width('b.example')]).toEqual([8, 4])
  })

  it('throttled() halves once for answers that come together, and never to nothing', async () => {
    for (let n = 0; n < 8; n++) limits.throttled('a.example')
    expect(await width()).toBe(4)
    for (let n = 0; n < 8; n++) {
      time += 1000
      limits.throttled('a.example')
    }
    expect(await width()).toBe(1)
  })

  it('grows by one for each round of successes, up to where it was', async () => {
    limits.throttled('a.example')
    await succeed(3)
    expect(await width()).toBe(4)
    await succeed(1)
    expect(await width()).toBe(5)
    await succeed(5 + 6)
    expect(await width()).toBe(7)
    await succeed(100)
    expect(await width()).toBe(8)
  })

  it('hold() keeps the place until the stream has closed', async () => {
    limits = createLimits(1, () => time)
    const stream = await limits.hold('a.example', undefined, async () => Readable.from(['x']))
    let entered = false
    const next = limits.run('a.example', undefined, async () => {
      entered = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(entered).toBe(false)
    stream.destroy()
    await next
  })

  it('run() rejects at once when the signal fires, and the call that waited is never made', async () => {
    limits = createLimits(1, () => time)
    const controller = new AbortController()
    const stream = await limits.hold('a.example', undefined, async () => Readable.from(['x']))
    let called = false
    const waiting = limits.run('a.example', controller.signal, async () => {
      called = true
    })
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    stream.destroy()
    await limits.run('a.example', undefined, async () => undefined)
    expect(called).toBe(false)
  })
})
