import { describe, expect, it } from 'vitest'
import {
  count,
  either,
  exactly,
  flag,
  integer,
  isRecord,
  listOf,
  nothing,
  objectOf,
  oneOf,
  optional,
  parseJson,
  type Shape,
  text,
} from './index.ts'

const point = { x: count, y: optional(count) }

describe('shapes', () => {
  it.each<[string, Shape, readonly unknown[], readonly unknown[]]>([
    ['text', text, ['', 'a'], [1, null, undefined, ['a'], { length: 1 }]],
    ['flag', flag, [true, false], [0, 'true', null]],
    [
      'count',
      count,
      [0, 1, Number.MAX_SAFE_INTEGER],
      [-1, 0.5, Number.POSITIVE_INFINITY, 2 ** 53, '1', true],
    ],
    ['integer', integer, [0, -1], [0.5, Number.POSITIVE_INFINITY, '1']],
    ['nothing', nothing, [null], [undefined, 0, '']],
    ['optional()', optional(count), [undefined, 1], [null, 'x']],
    ['either()', either(nothing, text), [null, 'a'], [undefined, 1]],
    ['oneOf()', oneOf('a', 1), ['a', 1], ['1', 'b', undefined]],
    ['listOf()', listOf(count), [[], [1, 2]], [{}, [1, 'x'], 'ab', { length: 0 }]],
    [
      'objectOf()',
      objectOf(point),
      [{ x: 1 }, { x: 1, y: 2, z: 'later' }],
      [{ y: 1 }, { x: 1, y: 'x' }, [], null],
    ],
    [
      'exactly()',
      exactly(point),
      [{ x: 1, y: 2 }],
      [{ x: 1 }, { x: 1, y: 2, z: 3 }, { x: 1, constructor: 1 }, [], null],
    ],
  ])('%s is told from what it is not', (_, shape, good, bad) => {
    for (const value of good) expect(shape(value), JSON.stringify(value)).toBe(true)
    for (const value of bad) expect(shape(value), JSON.stringify(value)).toBe(false)
  })

  it('exactly() takes no member that every object inherits', () => {
    expect(exactly({ a: text })(JSON.parse('{"__proto__":"x"}'))).toBe(false)
  })

  it('parseJson() gives a value, or undefined for what is no JSON', () => {
    expect(parseJson('{"a":[1]}')).toEqual({ a: [1] })
    for (const written of ['', '{', 'undefined']) expect(parseJson(written)).toBeUndefined()
  })

  it('isRecord() is of objects that are no lists', () => {
    expect([{}, [], null, 'x', undefined].map(isRecord)).toEqual([true, false, false, false, false])
  })
})
