import { describe, expect, it } from 'vitest'
import { byteLength, decodeText, findUnfit } from './decode.ts'

describe('decodeText()', () => {
  it.each<[string, readonly number[], string]>([
    ['UTF-8 of every length', [0x61, 0xc3, 0xa9, 0xe6, 0x97, 0xa5, 0xf0, 0x9f, 0x98, 0x80], 'aé日😀'],
    ['a byte order mark', [0xef, 0xbb, 0xbf, 0x61], '\ufeffa'],
    ['a NUL', [0x61, 0x00, 0x62], 'a\0b'],
    ['a byte of Latin-1', [0x61, 0xe9, 0x62], 'a\udce9b'],
    ['a continuation byte alone', [0x80, 0xbf], '\udc80\udcbf'],
    ['a character that is cut off', [0xe6, 0x97], '\udce6\udc97'],
    ['an overlong form', [0xc0, 0xaf, 0xe0, 0x80, 0xaf], '\udcc0\udcaf\udce0\udc80\udcaf'],
    ['an encoded surrogate', [0xed, 0xa0, 0x80], '\udced\udca0\udc80'],
    ['a number above U+10FFFF', [0xf4, 0x90, 0x80, 0x80], '\udcf4\udc90\udc80\udc80'],
    ['good text around a bad byte', [0xc3, 0xa9, 0xff, 0xc3, 0xa9], 'é\udcffé'],
  ])('keeps %s', (_, bytes, text) => {
    expect(decodeText(Uint8Array.from(bytes))).toBe(text)
    expect(byteLength(text)).toBe(bytes.length)
  })

  it('decodes what is UTF-8 as everybody does, and never makes U+FFFD', () => {
    const usual = new TextDecoder('utf-8', { ignoreBOM: true })
    const wrong: (readonly number[])[] = []
    for (let number = 0; number < 2 ** 16; number++) {
      const bytes = [number >> 8, number & 0xff, 0x80, 0x80, 0x61]
      const text = decodeText(Uint8Array.from(bytes))
      const other = usual.decode(Uint8Array.from(bytes))
      const same = other.includes('\ufffd') ? !text.includes('\ufffd') : text === other
      if (!same || byteLength(text) !== bytes.length) wrong.push(bytes)
    }
    expect(wrong).toEqual([])
  })
})

describe('findUnfit()', () => {
  it.each([
    ['a\udcffb', 1, 'byte 0xff is not UTF-8'],
    ['😀\ud800', 2, 'it holds the unpaired surrogate U+D800'],
    ['ab\0', 2, 'it holds a NUL character'],
  ])('finds what is wrong with %j', (text, index, reason) => {
    expect(findUnfit(text)).toMatchObject({ index, reason })
  })

  it('allows a NUL where it is told to, and finds nothing in other text', () => {
    expect(findUnfit('a\0', true)).toBeNull()
    expect(findUnfit('é日😀\t')).toBeNull()
  })
})
