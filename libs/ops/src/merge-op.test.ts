import { digestBytes } from '@tsbuild/digest'
import { emptyFilesystem, withLayer } from '@tsbuild/snapshot'
import { definitionKey, type RecordedInput } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { mergeOp } from './merge-op.ts'
import { snapshotId } from './testing/recording-options.ts'

const layer = (createdAt: number) => ({ kind: 'snapshot', id: snapshotId, createdAt }) as const
const filesystem = (...times: readonly number[]) => ({
  kind: 'filesystem' as const,
  filesystem: times.reduce((base, time) => withLayer(base, layer(time)), emptyFilesystem),
})

describe('mergeOp()', () => {
  it('mergeOp() has the layers of its inputs in one list, the first input lowest', () => {
    const { combine } = mergeOp()
    expect(combine([filesystem(1, 2), filesystem(3)])).toEqual(filesystem(1, 2, 3))
    expect(combine([filesystem(), filesystem(3)])).toEqual(filesystem(3))
    expect(combine([filesystem(1), filesystem(), filesystem(2)])).toEqual(filesystem(1, 2))
  })

  it('mergeOp() has the pinned key merge.v1, and counts the order of its inputs', () => {
    const { key } = mergeOp()
    const of = (text: string): RecordedInput => ({ kind: 'result', key: digestBytes(text) })
    expect(key).toEqual({ kind: 'merge.v1' })
    expect(definitionKey(key, [of('a'), of('b')])).toMatchInlineSnapshot(
      `"sha256:0e9fdd176e244eae1d944debbcb77e5ca6fb48cd0d9adf39e61abb2243ebe061"`,
    )
    expect(definitionKey(key, [of('a'), of('b')])).not.toBe(definitionKey(key, [of('b'), of('a')]))
  })
})
