import { describe, expect, it } from 'vitest'
import {
  identitiesAnswer,
  identitiesRequest,
  parseIdentities,
  parseRequest,
  parseSignature,
  signatureAnswer,
  signRequest,
} from './messages.ts'
import { MalformedMessage, wireBytes, wireNumber } from './wire.ts'

const sign = signRequest({ key: Buffer.from('key'), data: Buffer.from('data'), flags: 2 })

describe('parseRequest()', () => {
  it('reads the list and the signature', () => {
    expect(parseRequest(identitiesRequest())).toEqual({ kind: 'identities' })
    expect(parseRequest(Buffer.of(1))).toEqual({ kind: 'identities1' })
    expect(parseRequest(sign)).toEqual({
      kind: 'sign',
      request: { key: Buffer.from('key'), data: Buffer.from('data'), flags: 2 },
    })
  })

  it('refuses every other number: adding, removing, locking, smartcards, extensions', () => {
    const allowed = new Set([1, 11, 13])
    for (let number = 0; number < 256; number++) {
      if (allowed.has(number)) continue
      for (const rest of [Buffer.alloc(0), wireBytes('x'), sign.subarray(1)])
        expect(parseRequest(Buffer.concat([Buffer.of(number), rest]))).toEqual({ kind: 'refused' })
    }
  })

  it.each([
    ['a list with an argument', Buffer.of(11, 0)],
    ['an old list with an argument', Buffer.of(1, 0)],
    ['a signature without anything', Buffer.of(13)],
    ['a signature with more behind it', Buffer.concat([sign, Buffer.of(0)])],
    ['a key of 4 GB', Buffer.concat([Buffer.of(13), wireNumber(0xffffffff), Buffer.from('key')])],
    ['data of 2 GB', Buffer.concat([Buffer.of(13), wireBytes('key'), wireNumber(0x7fffffff)])],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s', (_what, message) => {
    expect(parseRequest(message)).toEqual({ kind: 'refused' })
  })

  it('refuses a signature that is cut off anywhere', () => {
    for (let length = 1; length < sign.length; length++)
      expect(parseRequest(sign.subarray(0, length))).toEqual({ kind: 'refused' })
  })
})

describe('answers of an agent', () => {
  const identities = [
    { key: Buffer.from('one'), comment: 'me@host' },
    { key: Buffer.from('two'), comment: '' },
  ]

  it('are read as they are written', () => {
    expect(parseIdentities(identitiesAnswer(identities))).toEqual(identities)
    expect(parseIdentities(identitiesAnswer([]))).toEqual([])
    expect(parseSignature(signatureAnswer(Buffer.from('s')))).toEqual(Buffer.from('s'))
  })

  it('may be no', () => {
    expect(parseIdentities(Buffer.of(5))).toBeUndefined()
    expect(parseSignature(Buffer.of(5))).toBeUndefined()
  })

  it.each([
    ['of another kind', Buffer.of(6)],
    ['empty', Buffer.alloc(0)],
    ['of more keys than there are', Buffer.concat([Buffer.of(12), wireNumber(0xffffffff), wireBytes('k')])],
    ['with more behind them', Buffer.concat([identitiesAnswer(identities), Buffer.of(1)])],
  ])('are refused when %s', (_what, message) => {
    expect(() => parseIdentities(message)).toThrow(MalformedMessage)
  })
})
