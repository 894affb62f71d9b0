import { describe, expect, it } from 'vitest'
import { type Account, decodeAccount, encodeAccount, isDue, resolveLimits, wasStuck } from './limits.ts'

const gb = 1000 ** 3
const minute = 60_000
const now = 1_700_000_000_000

describe('resolveLimits()', () => {
  it.each([
    [{}, 1000 * gb, { maxUsedBytes: 100 * gb, minFreeBytes: 20 * gb, keepBytes: 10 * gb }],
    [{}, 50 * gb, { maxUsedBytes: 40 * gb, minFreeBytes: 5 * gb, keepBytes: 5 * gb }],
    [
      { maxUsed: { percent: 50 }, minFree: { bytes: 7 } } as const,
      50 * gb,
      { maxUsedBytes: 25 * gb, minFreeBytes: 7, keepBytes: 5 * gb },
    ],
    // The ceiling is a ceiling.
    [{ maxUsed: { bytes: gb } }, 50 * gb, { maxUsedBytes: gb, minFreeBytes: 5 * gb, keepBytes: gb }],
    [
      { maxUsed: 'unlimited', minFree: 'unlimited' } as const,
      50 * gb,
      { maxUsedBytes: Number.POSITIVE_INFINITY, minFreeBytes: 0, keepBytes: 5 * gb },
    ],
  ])('%j on a disk of %i bytes', (limits, diskBytes, expected) => {
    expect(resolveLimits(limits, diskBytes)).toEqual(expected)
  })
})

describe('isDue()', () => {
  const limits = { maxUsedBytes: 100, minFreeBytes: 50, keepBytes: 10 }
  const known: Account = { at: now - 5 * minute, totalBytes: 80, diskUsedBytes: 500, stuck: false }
  const disk = (used: number, total = 1000) => ({ totalBytes: total, freeBytes: total - used })

  it.each<[string, Account | undefined, ReturnType<typeof disk>, boolean]>([
    ['nobody counted, and the disk has more than the limit', undefined, disk(500), true],
    ['nobody counted, and all that is on the disk is less than the limit', undefined, disk(100), false],
    ['the disk did not grow', known, disk(500), false],
    ['the disk grew by what was left of the limit', known, disk(520), false],
    ['the disk grew by more', known, disk(521), true],
    ['the disk shrank', known, disk(300), false],
    ['too little is free', known, disk(951), true],
    ['somebody has just counted', { ...known, at: now - minute + 1 }, disk(960), false],
    ['it is a minute ago', { ...known, at: now - minute }, disk(960), true],
    ['there was nothing to remove five minutes ago', { ...known, stuck: true }, disk(960), false],
    [
      'there was nothing to remove ten minutes ago',
      { ...known, at: now - 10 * minute, stuck: true },
      disk(960),
      true,
    ],
    ['it is of the future: the clock was set back', { ...known, at: now + 1 }, disk(500), true],
    ['it is of yesterday', { ...known, at: now - 25 * 60 * minute }, disk(500), true],
    ['it is of yesterday, and the disk has less than the limit', { ...known, at: 0 }, disk(90), false],
  ])('where %s', (_, account, use, expected) => {
    expect(isDue(account, { limits, disk: use, now })).toBe(expected)
  })

  it('wasStuck() forgets after ten minutes', () => {
    const ago = (ms: number) => wasStuck({ ...known, at: now - ms, stuck: true }, now)
    expect([
      ago(0),
      ago(9 * minute),
      ago(10 * minute),
      ago(-1),
      wasStuck(known, now),
      wasStuck(undefined, now),
    ]).toEqual([true, true, false, false, false, false])
  })
})

describe('decodeAccount()', () => {
  const account: Account = { at: now, totalBytes: 1, diskUsedBytes: 2, stuck: true }

  it('gives back what was written', () => {
    expect(decodeAccount(encodeAccount(account))).toMatchObject(account)
  })

  it('takes a text that ends early, or says something else, for nothing', () => {
    const text = encodeAccount(account)
    for (let end = 0; end < text.length - 1; end++) expect(decodeAccount(text.slice(0, end))).toBeUndefined()
    for (const changed of [{ format: 2 }, { at: -1 }, { totalBytes: '1' }, { stuck: 1 }])
      expect(decodeAccount(JSON.stringify({ ...JSON.parse(text), ...changed }))).toBeUndefined()
    expect(decodeAccount(undefined)).toBeUndefined()
  })
})
