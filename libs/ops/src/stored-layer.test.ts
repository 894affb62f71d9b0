import type { KeyValue } from '@tsbuild/digest'
import { emptyFilesystem, withLayer } from '@tsbuild/snapshot'
import { describe, expect, it } from 'vitest'
import { filesystemOf, loadLayer } from './stored-layer.ts'
import { snapshotId } from './testing/recording-options.ts'

const stored = { snapshot: snapshotId, createdAt: 5 }
const layer = { kind: 'snapshot', id: snapshotId, createdAt: 5 } as const
const base = withLayer(emptyFilesystem, { ...layer, createdAt: 1 })

describe('loadLayer()', () => {
  it('loadLayer() puts the layer upon its base', () => {
    expect(loadLayer(stored, base, () => true)).toEqual({
      kind: 'filesystem',
      filesystem: withLayer(base, layer),
    })
  })

  it('loadLayer() misses when the snapshot is gone, and asks for just that one', () => {
    const asked: string[] = []
    const has = (id: string) => {
      asked.push(id)
      return false
    }
    expect(loadLayer(stored, base, has)).toBeUndefined()
    expect(asked).toEqual([snapshotId])
  })

  it.each<[KeyValue]>([
    [null],
    ['x'],
    [[]],
    [{}],
    [{ snapshot: snapshotId }],
    [{ createdAt: 5 }],
    [{ snapshot: '../../etc', createdAt: 5 }],
    [{ snapshot: snapshotId.toUpperCase(), createdAt: 5 }],
    [{ snapshot: 1, createdAt: 5 }],
    [{ snapshot: snapshotId, createdAt: '5' }],
  ])('loadLayer() misses for %j', (value) => {
    expect(loadLayer(value, base, () => true)).toBeUndefined()
  })
})

describe('filesystemOf()', () => {
  it('filesystemOf() is empty for a step without a base', () => {
    expect(filesystemOf(undefined)).toBe(emptyFilesystem)
    expect(filesystemOf({ kind: 'filesystem', filesystem: base })).toBe(base)
  })
})
