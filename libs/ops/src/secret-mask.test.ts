import { describe, expect, it } from 'vitest'
import { createSecretMasks } from './secret-mask.ts'

function masked(values: readonly string[], chunks: readonly (string | Buffer)[]): string {
  const mask = createSecretMasks(values.map((value) => Buffer.from(value)))()
  const shown = chunks.map((chunk) => mask.push(Buffer.from(chunk)))
  return Buffer.concat([...shown, mask.end()]).toString()
}

/** What is masked byte by byte, by looking at the whole text: the slow and obvious way. */
function obvious(values: readonly string[], text: string): string {
  const covered = new Array<boolean>(text.length).fill(false)
  const starts = new Set<number>()
  const matches = values.flatMap((value) => {
    const found: { from: number; to: number }[] = []
    for (let at = text.indexOf(value); at !== -1; at = text.indexOf(value, at + 1))
      found.push({ from: at, to: at + value.length })
    return found
  })
  matches.sort((a, b) => a.from - b.from)
  let to = 0
  for (const match of matches) {
    if (match.from >= to) starts.add(match.from)
    to = Math.max(to, match.to)
    covered.fill(true, match.from, match.to)
  }
  return [...text].map((letter, at) => `${starts.has(at) ? '***' : ''}${covered[at] ? '' : letter}`).join('')
}

describe('createSecretMasks()', () => {
  it('push() masks a value that is split at every boundary', () => {
    const text = 'before s3cr3t-value after'
    for (let first = 0; first <= text.length; first += 1) {
      for (let second = first; second <= text.length; second += 1) {
        const chunks = [text.slice(0, first), text.slice(first, second), text.slice(second)]
        expect(masked(['s3cr3t-value'], chunks)).toBe('before *** after')
      }
    }
  })

  it('push() masks a value that comes byte by byte, and shows nothing of it on the way', () => {
    const mask = createSecretMasks([Buffer.from('token-1234')])()
    const shown = [...'token-123'].map((letter) => mask.push(Buffer.from(letter)).toString()).join('')
    expect(shown).toBe('')
    expect(mask.push(Buffer.from('4')).toString()).toBe('')
    expect(mask.push(Buffer.from('\n')).toString()).toBe('***\n')
    expect(mask.end().toString()).toBe('')
  })

  it('end() shows the beginning of a value that did not come', () => {
    expect(masked(['token-1234'], ['x token-12'])).toBe('x token-12')
  })

  it('push() shows at once what cannot be the beginning of a value', () => {
    const mask = createSecretMasks([Buffer.from('token')])()
    expect(mask.push(Buffer.from('Password: ')).toString()).toBe('Password: ')
    expect(mask.push(Buffer.from('to')).toString()).toBe('')
    expect(mask.push(Buffer.from('day')).toString()).toBe('today')
  })

  it('push() finds a value again after a false start', () => {
    expect(masked(['aabaaa'], ['aabaab', 'aaa!'])).toBe('aab***!')
    expect(masked(['abab'], ['ababab'])).toBe('***')
  })

  it('push() covers every byte of values that overlap, hold each other or touch', () => {
    expect(masked(['abcdef', 'defghi'], ['-abcdefghi-'])).toBe('-***-')
    expect(masked(['bcde', 'abcdefg'], ['-abcdefg-'])).toBe('-***-')
    expect(masked(['bcde', 'abcdefg'], ['-abcdefx-'])).toBe('-a***fx-')
    expect(masked(['abcd'], ['abcdabcd'])).toBe('******')
  })

  it('push() masks a value without the line end after it', () => {
    expect(masked(['hunter22\n'], ['<hunter22>'])).toBe('<***>')
    expect(masked(['hunter22\r\n'], ['<hunter22>'])).toBe('<***>')
  })

  it('push() leaves values of less than 4 bytes', () => {
    expect(masked(['abc', 'abc\n', ''], ['abcabc'])).toBe('abcabc')
    expect(masked(['abcd'], ['abcd'])).toBe('***')
  })

  it('push() masks several lines line by line, those of less than 8 bytes only with the rest', () => {
    const key = '-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\n-----END KEY-----\n'
    expect(masked([key], [key])).toBe('***\n')
    expect(masked([key], ['> MIIEvQIBADANBg\r\n> short\n'])).toBe('> ***\r\n> short\n')
    expect(masked(['ab\ncd'], ['ab\ncd'])).toBe('***')
  })

  it('push() masks bytes that are no text', () => {
    const mask = createSecretMasks([Buffer.from([0xff, 0, 0xfe, 0x80])])()
    expect([...mask.push(Buffer.from([1, 0xff, 0, 0xfe, 0x80, 2]))]).toEqual([1, 0x2a, 0x2a, 0x2a, 2])
  })

  it('createSecretMasks() makes masks that know nothing of each other, for two streams', () => {
    const make = createSecretMasks([Buffer.from('token')])
    const [stdout, stderr] = [make(), make()]
    expect(stdout.push(Buffer.from('tok')).toString()).toBe('')
    expect(stderr.push(Buffer.from('en\n')).toString()).toBe('en\n')
    expect(stdout.push(Buffer.from('en\n')).toString()).toBe('***\n')
  })

  it('createSecretMasks() hands chunks through as they are where there is nothing to mask', () => {
    const chunk = Buffer.from('abc')
    expect(createSecretMasks([Buffer.from('x')])().push(chunk)).toBe(chunk)
  })

  it('push() agrees with a search of the whole text, for small alphabets and any chunks', () => {
    let seed = 1
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647
      return seed % below
    }
    const word = (length: number) => Array.from({ length }, () => 'ab'[random(2)]).join('')
    for (let round = 0; round < 2000; round += 1) {
      const values = Array.from({ length: 1 + random(4) }, () => word(4 + random(5)))
      const text = word(random(60))
      const chunks: string[] = []
      for (let at = 0; at < text.length; ) {
        const length = 1 + random(6)
        chunks.push(text.slice(at, at + length))
        at += length
      }
      expect(masked(values, chunks), `${values} in ${text}`).toBe(obvious(values, text))
    }
  })

  it('push() holds back no more than the longest value, however often it comes', () => {
    const value = `${'ab'.repeat(2000)}c`
    const mask = createSecretMasks([Buffer.from(value)])()
    let shown = 0
    for (let round = 0; round < 500; round += 1) shown += mask.push(Buffer.from('ab'.repeat(1000))).length
    expect(shown).toBeGreaterThanOrEqual(500 * 2000 - value.length)
  })
})
