import { describe, expect, it } from 'vitest'
import { isObjectKey, parseObjectKey, parseObjectPrefix } from './object-key.ts'
import { hostileKeys, keysInOrder } from './testing/keys.ts'

describe('parseObjectKey()', () => {
  it.each(keysInOrder)('takes %j', (key) => {
    expect(parseObjectKey(key)).toBe(key)
    expect(parseObjectPrefix(key)).toBe(key)
  })

  it.each(hostileKeys)('refuses %j', (key) => {
    expect(isObjectKey(key)).toBe(false)
    expect(() => parseObjectKey(key)).toThrow(expect.objectContaining({ code: 'ERR_OBJECT_KEY' }))
  })

  it('shows no more of what it refuses than a line has room for', () => {
    expect(() => parseObjectKey(`\n${'x'.repeat(10_000)}`)).toThrow(/^[^\n]{1,260}$/)
  })
})

describe('parseObjectPrefix()', () => {
  it.each(['', 'a', 'a/', 'a/b/'])('takes %j', (prefix) => {
    expect(parseObjectPrefix(prefix)).toBe(prefix)
  })

  it.each(['/', '.', '..', 'a/..', '../', 'a/.', 'a//', 'A', 'a\0', 'a\n', 'x'.repeat(513)])(
    'refuses %j',
    (prefix) => {
      expect(() => parseObjectPrefix(prefix)).toThrow(expect.objectContaining({ code: 'ERR_OBJECT_KEY' }))
    },
  )
})
