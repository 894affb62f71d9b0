import { describe, expect, it } from 'vitest'
import { keyValues } from './values.ts'

describe('keyValues()', () => {
  it('splits at the first =, takes the rest from the fallback and leaves out what that has not', () => {
    const fallback = (name: string) => (name === 'KNOWN' ? 'from outside' : undefined)
    expect(keyValues('--build-arg', ['A=1=2', 'KNOWN', 'UNKNOWN', 'B='], fallback)).toEqual({
      A: '1=2',
      KNOWN: 'from outside',
      B: '',
    })
  })

  it('keeps a name that objects have by themselves', () => {
    expect(Object.keys(keyValues('--label', ['__proto__=x'], () => ''))).toEqual(['__proto__'])
  })

  it('refuses an empty name', () => {
    expect(() => keyValues('--label', ['=x'], () => '')).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE' }),
    )
  })
})
