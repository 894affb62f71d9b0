import { describe, expect, it } from 'vitest'
import { chooseDoomed } from './prune.ts'

const day = 24 * 3_600_000
const now = 1000 * day
/** `a` is the newest; each is a day older than the one before. */
const candidates = ['a', 'b', 'c', 'd', 'e'].map((ref, index) => ({ ref, changedMs: now - index * day }))
const none = { builds: 100, ageMs: 100 * day, bytes: Number.POSITIVE_INFINITY }

function doomed(limits: Partial<typeof none>, keep = 'a', sizes: Readonly<Record<string, number>> = {}) {
  const measured: string[] = []
  const sizeOf = (ref: string) => {
    measured.push(ref)
    return sizes[ref] ?? 10
  }
  return { refs: chooseDoomed(candidates, { ...none, ...limits }, { now, keep, sizeOf }), measured }
}

describe('chooseDoomed()', () => {
  it('takes nothing within the limits, and measures nothing without one', () => {
    expect(doomed({})).toEqual({ refs: [], measured: [] })
  })

  it('leaves the newest by number, the kept one among them wherever it stands', () => {
    expect(doomed({ builds: 2 }).refs).toEqual(['c', 'd', 'e'])
    expect(doomed({ builds: 2 }, 'e').refs).toEqual(['b', 'c', 'd'])
    expect(doomed({ builds: 1 }, 'c').refs).toEqual(['a', 'b', 'd', 'e'])
    expect(doomed({ builds: 5 }).refs).toEqual([])
  })

  it('takes what is older than the age, and never the kept one', () => {
    expect(doomed({ ageMs: 2 * day }).refs).toEqual(['d', 'e'])
    expect(doomed({ ageMs: 2 * day }, 'e').refs).toEqual(['d'])
  })

  it('takes the older ones where all together are too large, and measures no further than it must', () => {
    expect(doomed({ bytes: 30 })).toEqual({ refs: ['d', 'e'], measured: ['a', 'b', 'c', 'd'] })
    expect(doomed({ bytes: 30 }, 'e').refs).toEqual(['c', 'd'])
    expect(doomed({ bytes: 30 }, 'a', { a: 31 })).toEqual({ refs: ['b', 'c', 'd', 'e'], measured: ['a'] })
    expect(doomed({ bytes: 50 }).refs).toEqual([])
  })
})
