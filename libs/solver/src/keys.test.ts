import { digestBytes, type KeyValue } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { definitionKey, layerKey, outputKey, type RecordedInput } from './index.ts'

const op = { kind: 'test.v1', args: ['a'] } as const
const key = digestBytes('input')
const inputs: readonly RecordedInput[] = [
  { kind: 'result', key },
  { kind: 'result', key, selector: { sources: ['a'] } },
  { kind: 'source', key: { kind: 'image' }, selector: 'x' },
  { kind: 'content', digest: key, preimage: { files: 1 } },
]

describe('keys', () => {
  it('definitionKey(), outputKey() and layerKey() are pinned', () => {
    expect(definitionKey(op, inputs)).toMatchInlineSnapshot(
      `"sha256:3f071959b9f03306ca920784dfcf65eb5156f9db9f5bff95b7487c7b1811e2e4"`,
    )
    expect(layerKey(inputs.slice(0, 1), key)).toMatchInlineSnapshot(
      `"sha256:93948147a63bbf99889234c8482de805001cabb7d789e59bf36e08017788eda2"`,
    )
    expect(outputKey(key, { snapshot: '1', createdAt: 2 })).toMatchInlineSnapshot(
      `"sha256:01cb55d7e96e5eafd9c4f4be066cd60030593b1a313cec5f7dd56f6a55287dbd"`,
    )
  })

  it('definitionKey() differs for every way an input can count', () => {
    const lists: readonly (readonly RecordedInput[])[] = [
      [],
      ...inputs.map((input) => [input]),
      [{ kind: 'result', key: digestBytes('other') }],
      [{ kind: 'result', key, selector: { sources: ['b'] } }],
      [{ kind: 'source', key }],
      [{ kind: 'source', key: { kind: 'image' } }],
      [{ kind: 'content', digest: digestBytes('other'), preimage: null }],
      inputs,
      inputs.toReversed(),
    ]
    expect(new Set(lists.map((list) => definitionKey(op, list))).size).toBe(lists.length)
  })

  it('definitionKey() does not count the preimage of a content', () => {
    const content = (preimage: KeyValue) => definitionKey(op, [{ kind: 'content', digest: key, preimage }])
    expect(content({ files: 2 })).toBe(content({ files: 1 }))
  })

  it('definitionKey() differs for another op, and not for the order in which its members were written', () => {
    expect(definitionKey({ ...op, args: ['b'] }, [])).not.toBe(definitionKey(op, []))
    expect(definitionKey({ args: ['a'], kind: 'test.v1' }, [])).toBe(definitionKey(op, []))
    expect(definitionKey({ ...op, user: undefined }, [])).toBe(definitionKey(op, []))
  })

  it('layerKey() differs for another content and for other bases', () => {
    const other = digestBytes('other')
    const bases: readonly (readonly RecordedInput[])[] = [[], ...inputs.slice(0, 3).map((input) => [input])]
    const keys = bases.flatMap((list) => [layerKey(list, key), layerKey(list, other)])
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('outputKey() differs for another definition and for another stored result', () => {
    const keys = [outputKey(key, 'a'), outputKey(key, 'b'), outputKey(digestBytes('other'), 'a')]
    expect(new Set(keys).size).toBe(3)
  })
})
