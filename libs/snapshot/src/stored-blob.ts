import type { ApplyLimits } from '@tsbuild/native'
import type { BlobRef } from './layers.ts'
import type { SnapshotterOptions } from './snapshotter.ts'

/** Limits of a base image's layer, against decompression bombs. */
export const layerLimits: ApplyLimits = { maxBytes: 64 * 2 ** 30, maxEntries: 2_000_000, maxRatio: 1000 }
/**
 * Reads the blob of a layer, which is fetched unless the store has it, and once more where it turns out to be damaged.
 *
 * @throws what `read` throws for a blob that is whole, and what fetching throws
 */
export async function withStoredBlob<T, L extends BlobRef>(
  {
    store,
    fetch,
  }: Pick<SnapshotterOptions, 'store'> & {
    readonly fetch: (layer: L, signal: AbortSignal) => Promise<void>
  },
  layer: L,
  signal: AbortSignal,
  read: () => Promise<T>,
): Promise<T> {
  if ((await store.blobs.size(layer.digest)) === undefined) await fetch(layer, signal)
  try {
    return await read()
  } catch (error) {
    // A blob that was damaged on disk is in quarantine now; a new one may be whole.
    if (signal.aborted || (await store.blobs.verify(layer.digest))) throw error
    await fetch(layer, signal)
    return await read()
  }
}
