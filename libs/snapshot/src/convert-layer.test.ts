import { readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { digestBytes } from '@tsbuild/digest'
import type { Compression, Native } from '@tsbuild/native'
import { realHelper } from '@tsbuild/native/testing'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { createSnapshotter, layerFormat, type SnapshotterOptions } from './index.ts'
import { type Layer, layerOf } from './testing/image-layer.ts'

const signal = new AbortController().signal
const layer = layerOf('etc', 'text '.repeat(100))

let store: Store
let fetched: number
beforeEach(async () => {
  store = await temporaryStore()
  fetched = 0
})

const fetch: SnapshotterOptions['fetch'] = async (wanted) => {
  fetched++
  await store.blobs.put((wanted as Layer).bytes, { digest: wanted.digest, size: wanted.size })
}
/** A later build of the same store, which may not call the helper. */
const laterBuild = () => createSnapshotter({ store, native: {} as Native, fetch })

describe('Snapshotter.convertLayer()', () => {
  it.for([
    ['none', 0],
    ['gzip', 9],
    ['zstd', 3],
    ['estargz', 9],
  ] as const)('writes the layer as %s, and finds it again', async ([format, level], test) => {
    const compression: Compression = { format, level }
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const made = await snapshotter.convertLayer(layer, compression, { signal })
    expect(made.diffId === layer.diffId).toBe(format !== 'estargz')
    const bytes = await store.blobs.read(made.digest)
    expect(bytes.length).toBe(made.size)
    if (format === 'none') expect(digestBytes(bytes)).toBe(layer.diffId)
    if (layerFormat(made.mediaType) === 'gzip') expect(digestBytes(gunzipSync(bytes))).toBe(made.diffId)
    const { lower } = await snapshotter.view({ layers: [{ ...layer, ...made, kind: 'image' }] }, signal)
    expect(readFileSync(join(lower[0] ?? '', 'etc'), 'utf8')).toBe('text '.repeat(100))
    expect(await laterBuild().convertLayer(layer, compression, { signal })).toEqual(made)
    expect(fetched).toBe(1)
  })

  it('keeps levels apart', async (test) => {
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const made = await Promise.all(
      [0, 1, 1].map((level) => snapshotter.convertLayer(layer, { format: 'gzip', level }, { signal })),
    )
    expect(made[1]).toEqual(made[2])
    expect(made[0]?.size).toBeGreaterThan(made[1]?.size ?? 0)
  })

  it('makes the layer again where its blob is gone', async (test) => {
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const compression = { format: 'zstd', level: 3 } as const
    const made = await snapshotter.convertLayer(layer, compression, { signal })
    unlinkSync(store.blobs.path(made.digest))
    const again = createSnapshotter({ store, native: realHelper(test), fetch })
    expect(await again.convertLayer(layer, compression, { signal })).toEqual(made)
    expect(await store.blobs.size(made.digest)).toBe(made.size)
  })

  it('fetches a blob anew that was damaged, and gives up one that is not what it is said to be', async (test) => {
    await fetch(layer, signal)
    writeFileSync(store.blobs.path(layer.digest), Buffer.alloc(layer.size))
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const compression = { format: 'none', level: 0 } as const
    expect((await snapshotter.convertLayer(layer, compression, { signal })).digest).toBe(layer.diffId)
    const other = { ...layer, diffId: layerOf('etc', 'other').diffId }
    const ingest = () => readdirSync(join(store.root, 'v1/ingest'), { recursive: true })
    const before = ingest()
    await expect(snapshotter.convertLayer(other, compression, { signal })).rejects.toMatchObject({
      code: 'ERR_DIFFID_MISMATCH',
    })
    expect(ingest()).toEqual(before)
  })
})
