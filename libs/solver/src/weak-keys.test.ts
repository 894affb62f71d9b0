import { digestBytes, type KeyValue } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { definitionKey } from './index.ts'

/** A generator of numbers that is the same in each run. */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** An op as steps have it: texts, numbers, flags, lists and members that may be absent. */
function randomOp(next: (limit: number) => number, depth = 0): KeyValue {
  const text = (): string =>
    Array.from({ length: next(4) }, () => ['a', 'b', '"', ',', ':', '[', '\n', 'é'][next(8)]).join('')
  switch (next(depth > 2 ? 4 : 6)) {
    case 0:
      return text()
    case 1:
      return next(5) - 2
    case 2:
      return next(2) === 0
    case 3:
      return null
    case 4:
      return Array.from({ length: next(4) }, () => randomOp(next, depth + 1))
    default:
      return Object.fromEntries(Array.from({ length: next(4) }, () => [text(), randomOp(next, depth + 1)]))
  }
}

/** Each value that differs from one in a single place. */
function* mutations(value: KeyValue): Generator<KeyValue> {
  if (typeof value === 'string') yield* [`${value}a`, value === '' ? 'x' : value.slice(1), [value]]
  else if (typeof value === 'number') yield* [value + 1, String(value)]
  else if (typeof value === 'boolean') yield* [!value, String(value)]
  else if (value === null || value === undefined) yield* ['', 0, false, 'null']
  else if (Array.isArray(value)) {
    const list = value as readonly KeyValue[]
    yield [...list, null]
    if (list.length > 0) yield list.slice(1)
    for (const [place, each] of list.entries())
      for (const other of mutations(each)) yield list.map((kept, index) => (index === place ? other : kept))
  } else {
    const members = value as Readonly<Record<string, KeyValue>>
    yield { ...members, 'a new member': null }
    for (const [name, each] of Object.entries(members)) {
      const { [name]: _, ...rest } = members
      yield rest
      yield { ...rest, [`${name}'`]: each }
      for (const other of mutations(each)) yield { ...rest, [name]: other }
    }
  }
}

describe('definitionKey()', () => {
  const inputs = [{ kind: 'result', key: digestBytes('a') }] as never
  const keyOf = (op: KeyValue): string => definitionKey(op, inputs)

  it('CAC-03: of 300 ops and all that differ from them in one place no two are the same, and copies are', () => {
    const next = numbers(11)
    let compared = 0
    for (let count = 0; count < 300; count++) {
      const op = randomOp(next)
      const key = keyOf(op)
      expect(keyOf(structuredClone(op))).toBe(key)
      for (const other of mutations(op)) {
        expect(keyOf(other), `${JSON.stringify(op)} and ${JSON.stringify(other)}`).not.toBe(key)
        compared += 1
      }
    }
    expect(compared).toBeGreaterThan(1000)
  })

  it('CAC-03: 300 random ops have one key exactly where they are equal', () => {
    const next = numbers(12)
    const keys = new Map<string, string>()
    for (let count = 0; count < 300; count++) {
      const [one, other] = [randomOp(next), randomOp(next)]
      const sorted = (value: KeyValue): string =>
        JSON.stringify(value, (_, each: unknown) =>
          typeof each === 'object' && each !== null && !Array.isArray(each)
            ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
            : each,
        )
      expect(keyOf(one) === keyOf(other)).toBe(sorted(one) === sorted(other))
      expect(keys.get(keyOf(one)) ?? sorted(one)).toBe(sorted(one))
      keys.set(keyOf(one), sorted(one))
    }
  })

  it('CAC-03: what an input counts as, and how, is in the key', () => {
    const [a, b] = [digestBytes('a'), digestBytes('b')]
    const one = { op: 'x' }
    const lists = [
      [],
      [{ kind: 'result', key: a }],
      [{ kind: 'result', key: b }],
      [
        { kind: 'result', key: a },
        { kind: 'result', key: b },
      ],
      [
        { kind: 'result', key: b },
        { kind: 'result', key: a },
      ],
    ]
    const keys = lists.map((list) => definitionKey(one, list as never))
    expect(new Set(keys).size).toBe(lists.length)
  })
})
