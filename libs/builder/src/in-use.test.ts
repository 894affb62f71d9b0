import { describe, expect, it } from 'vitest'
import { createInUse } from './in-use.ts'

function counted() {
  let released = 0
  return { ...createInUse({ releaseUses: () => void released++ }), released: () => released }
}

describe('createInUse()', () => {
  it('lets go when the last of what runs at a time has ended', async () => {
    const { during, released } = counted()
    let end = () => {}
    const long = during(() => new Promise<void>((resolve) => (end = resolve)))
    expect(await during(async () => 7)).toBe(7)
    expect(released()).toBe(0)
    end()
    await long
    expect(released()).toBe(1)
    await during(async () => {})
    expect(released()).toBe(2)
  })

  it('lets go after a failure, which it passes on', async () => {
    const { during, released } = counted()
    await expect(during(() => Promise.reject(new Error('x')))).rejects.toThrow('x')
    expect(released()).toBe(1)
  })
})
