import type { LayerRef, Snapshotter } from '@tsbuild/snapshot'
import type { Store } from '@tsbuild/store'
import { expect, it } from 'vitest'
import { createBlobs } from './export-tools.ts'

it('createBlobs() makes layers for the whole build: a cache that is given up does not end what an output waits for', async () => {
  const building = new AbortController()
  const cache = new AbortController()
  const given: (AbortSignal | undefined)[] = []
  const layerBlob: Snapshotter['layerBlob'] = async (_id, _form, { signal }) => {
    given.push(signal)
    throw new Error('not made')
  }
  const blobs = createBlobs({
    store: { snapshots: { layer: () => undefined } } as unknown as Store,
    snapshotter: { layerBlob } as Snapshotter,
    fetch: async () => {},
    signal: building.signal,
  })
  const layer = { kind: 'snapshot', id: 'a' } as unknown as LayerRef
  await expect(blobs.blobOf(layer, [], undefined, cache.signal)).rejects.toThrow('not made')
  cache.abort()
  expect(given.map((signal) => signal?.aborted)).toEqual([false])
  building.abort()
  expect(given.map((signal) => signal?.aborted)).toEqual([true])
})
