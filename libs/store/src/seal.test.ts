import { describe, expect, it } from 'vitest'
import { seal, unseal, unsealedText } from './seal.ts'

const texts = ['{"a":1}', '{}', '{ }\n', `${JSON.stringify({ a: { b: ['ä', '}'] } }, undefined, 1)}\n`]

describe('seal()', () => {
  it.each(texts)('keeps %j JSON with the same members, and unseal() gives it back', (text) => {
    const sealed = seal('name', text)
    expect(sealed).not.toBe(text)
    const { seal: _, ...members } = JSON.parse(sealed)
    expect(members).toEqual(JSON.parse(text))
    expect(unseal('name', Buffer.from(sealed))).toEqual({ is: 'whole', text })
  })

  it('has digits that do not change by accident', () => {
    expect(seal('00ff', '{"a":1}')).toBe('{"a":1,"seal":"a0532b59"}')
  })
})

describe('unseal()', () => {
  it('notices each flipped bit, as JSON that is none, as damage, or where the seal itself is gone', () => {
    const text = '{"snapshot":"0123456789abcdef","createdAt":1700000000000}'
    const sealed = Buffer.from(seal('name', text))
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const damaged = Buffer.from(sealed)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const read = unseal('name', damaged)
      if (read.is === 'damaged') continue
      // Only the bytes of the seal's own member are left to differ then.
      const members = parsed(damaged)
      if (members !== undefined) expect(members).toMatchObject(JSON.parse(text))
    }
  })

  it('notices a text under the name of another', () => {
    expect(unseal('other', Buffer.from(seal('name', '{"a":1}')))).toEqual({ is: 'damaged' })
  })

  it('says that a text of before has none', () => {
    expect(unseal('name', Buffer.from('{"a":1}\n'))).toEqual({ is: 'unsealed', text: '{"a":1}\n' })
  })
})

describe('unsealedText()', () => {
  it('gives nothing for what is missing or damaged', () => {
    expect(unsealedText('name', undefined)).toBeUndefined()
    expect(unsealedText('other', Buffer.from(seal('name', '{"a":1}')))).toBeUndefined()
    expect(unsealedText('name', Buffer.from(seal('name', '{"a":1}')))).toBe('{"a":1}')
  })
})

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}
