import { describe, expect, it } from 'vitest'
import { parseAge } from './age.ts'
import { parseFilters } from './filters.ts'
import { type ItemSpec, makeInventory } from './testing/make-inventory.ts'

const hour = 3_600_000
const usage = expect.objectContaining({ code: 'ERR_USAGE' })

function matching(filters: readonly string[]): readonly string[] {
  const specs: readonly ItemSpec[] = [
    { id: '4f2a11', kind: 'regular', description: '[2/3] RUN npm ci' },
    { id: '4f99', kind: 'regular', description: 'RUN make' },
    { id: 'aa', kind: 'source', description: 'shared' },
  ]
  const filter = parseFilters(filters)
  return makeInventory(specs).items.flatMap((item) =>
    filter.matches(item, item.description === 'shared') ? [item.id] : [],
  )
}

describe('parseFilters()', () => {
  it.each([
    [[], ['4f2a11', '4f99', 'aa']],
    [['type=source'], ['aa']],
    [['type==source'], ['aa']],
    [
      ['type=source', 'type=regular'],
      ['4f2a11', '4f99', 'aa'],
    ],
    [['type!=source'], ['4f2a11', '4f99']],
    [['type~=^s'], ['aa']],
    [['id=4f'], ['4f2a11', '4f99']],
    [['id!=4f2'], ['4f99', 'aa']],
    [['id=4f', 'description~=npm (ci|install)'], ['4f2a11']],
    [['description=RUN make'], ['4f99']],
    [['shared'], ['aa']],
    [['shared=false'], ['4f2a11', '4f99']],
    [['shared!=false'], ['aa']],
    [['private=true'], ['4f2a11', '4f99']],
    [['private!=true'], ['aa']],
  ])('%j matches %j', (filters, ids) => {
    expect(matching(filters)).toEqual(ids)
  })

  it('takes the time of until and unused-for, and the kinds that are asked for', () => {
    expect(parseFilters(['until=24h', 'unused-for=1d12h'])).toMatchObject({
      olderThanMs: 36 * hour,
      kinds: [],
    })
    expect(parseFilters(['type=failure', 'type!=image']).kinds).toEqual(['failure'])
    expect(parseFilters([]).olderThanMs).toBeUndefined()
  })

  it.each([
    ['typ=regular', 'there is no field "typ"'],
    ['inuse=true', 'there is no field "inuse"'],
    ['type=regulr', 'there is no type "regulr"'],
    ['type', 'expected FIELD=VALUE'],
    ['type=', 'expected FIELD=VALUE'],
    ['=x', 'there is no field ""'],
    ['', 'there is no field ""'],
    ['shared=yes', '`shared` is true or false'],
    ['shared~=t', '`shared` is true or false'],
    ['id~=(', 'no regular expression'],
    ['until!=24h', '`until` takes `=`'],
  ])('refuses %j', (filter, message) => {
    expect(() => parseFilters([filter])).toThrow(usage)
    expect(() => parseFilters([filter])).toThrow(message)
  })
})

describe('parseAge()', () => {
  it.each([
    ['0s', 0],
    ['90m', 1.5 * hour],
    ['1h30m', 1.5 * hour],
    ['1.5h', 1.5 * hour],
    ['7d', 7 * 24 * hour],
    ['2w', 14 * 24 * hour],
    ['720h', 30 * 24 * hour],
  ])('takes %s for %i ms', (text, ms) => {
    expect(parseAge('--older-than', text)).toBe(ms)
  })

  it.each(['', '7', 'd', '-1h', '1h ', '1y', '999999999w999999999w'])('refuses %j', (text) => {
    expect(() => parseAge('--older-than', text)).toThrow(usage)
  })
})
