import { describe, expect, it, vi } from 'vitest'
import { createSecretSource } from './secret-source.ts'

describe('createSecretSource()', () => {
  it('createSecretSource() reads a secret when it is first wanted, and once', async () => {
    const token = vi.fn(async () => Buffer.from('value'))
    const source = createSecretSource({ secrets: { token } })
    expect(token).not.toHaveBeenCalled()
    const both = await Promise.all([source('token'), source('token')])
    expect(both.map(String)).toEqual(['value', 'value'])
    expect(token).toHaveBeenCalledTimes(1)
  })

  it.each(['other', 'toString', '__proto__', 'constructor'])(
    'createSecretSource() has no secret %s that was not given',
    async (id) => {
      expect(await createSecretSource({ secrets: {} })(id)).toBeUndefined()
      expect(await createSecretSource({})(id)).toBeUndefined()
    },
  )

  it('createSecretSource() fails as the reader does', async () => {
    const failure = new Error('unreadable')
    const source = createSecretSource({ secrets: { token: () => Promise.reject(failure) } })
    await expect(source('token')).rejects.toBe(failure)
  })
})
