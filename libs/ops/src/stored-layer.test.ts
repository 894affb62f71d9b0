import { digestBytes, type KeyValue } from '@tsbuild/digest'
import { emptyFilesystem, withLayer } from '@tsbuild/snapshot'
import { describe, expect, it } from 'vitest'
import { filesystemOf, loadLayer } from './stored-layer.ts'
import { snapshotId } from './testing/recording-options.ts'

const stored = { snapshot: snapshotId, createdAt: 5 }
const layer = { kind: 'snapshot', id: snapshotId, createdAt: 5 } as const
const base = withLayer(emptyFilesystem, { ...layer, createdAt: 1 })

describe('loadLayer()', () => {
  it('loadLayer() puts the layer upon its base', () => {
    expect(loadLayer(stored, base, { hasSnapshot: () => true })).toEqual({
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
    expect(loadLayer(stored, base, { hasSnapshot: has })).toBeUndefined()
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
    expect(loadLayer(value, base, { hasSnapshot: () => true })).toBeUndefined()
  })
})

const digest = digestBytes('blob')
const blob = {
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  digest,
  size: 3,
  diffId: digestBytes('tar'),
}
const cached = { blobs: [blob], places: ['registry.example/cache:1'], createdAt: 7 }

describe('loadLayer() of a layer that a cache elsewhere has', () => {
  const hasSnapshot = () => true

  it('puts it upon its base, if it can be had', () => {
    const asked: unknown[] = []
    const hasCached = (layer: unknown) => asked.push(layer) > 0
    const loaded = loadLayer({ cached }, base, { hasSnapshot, hasCached })
    expect(loaded).toEqual({
      kind: 'filesystem',
      filesystem: withLayer(base, {
        kind: 'cached',
        ...cached,
        blobs: [{ ...blob, form: undefined }],
      } as never),
    })
    expect(asked).toHaveLength(1)
    expect(loadLayer({ cached }, base, { hasSnapshot, hasCached: () => false })).toBeUndefined()
    expect(loadLayer({ cached }, base, { hasSnapshot })).toBeUndefined()
  })

  it.each<[string, KeyValue]>([
    ['no blobs', { ...cached, blobs: [] }],
    ['a blob without a diffID', { ...cached, blobs: [{ ...blob, diffId: null }] }],
    ['one blob of two that is none', { ...cached, blobs: [blob, 1] }],
    ['a digest of another algorithm', { ...cached, blobs: [{ ...blob, digest: 'md5:1' }] }],
    ['a negative size', { ...cached, blobs: [{ ...blob, size: -1 }] }],
    ['a place that is no text', { ...cached, places: [1] }],
    ['no time', { blobs: [blob], places: [] }],
    ['a time in words', { ...cached, createdAt: 'now' }],
  ])('misses for %s', (_, value) => {
    expect(loadLayer({ cached: value }, base, { hasSnapshot, hasCached: () => true })).toBeUndefined()
  })
})

describe('filesystemOf()', () => {
  it('filesystemOf() is empty for a step without a base', () => {
    expect(filesystemOf(undefined)).toBe(emptyFilesystem)
    expect(filesystemOf({ kind: 'filesystem', filesystem: base })).toBe(base)
  })
})
