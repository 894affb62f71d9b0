import type { Digest } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import type { Store } from '@tsbuild/store'
import pLimit from 'p-limit'
import { type FetchWatcher, GrowingBlob } from './growing-blob.ts'
import type { BlobRef, ImageLayerRef } from './layers.ts'

/** Layers on their way at a time; a registry's own limit may be lower. */
const concurrency = 6

/** Brings the blob of a layer into the store. Whoever cannot say how it comes calls nothing of the watcher. */
export type FetchLayer = (layer: ImageLayerRef, signal: AbortSignal, watcher?: FetchWatcher) => Promise<void>

/** The same for layers of every kind that has a blob. */
export type FetchBlob = (layer: BlobRef, signal: AbortSignal, watcher?: FetchWatcher) => Promise<void>

/** A blob that is being fetched. */
export interface Fetching {
  readonly growing: GrowingBlob
  /** @throws what fetching throws */
  readonly done: Promise<void>
}

/** The blobs of layers on their way into the store: each comes once, however many wait for it. */
export interface LayerFetches {
  /** Begins to fetch a layer that the store lacks; does nothing where that is under way. Rejections are nobody's. */
  begin(layer: BlobRef, signal: AbortSignal): void
  /** The layer's blob, if it is on its way. */
  underWay(layer: BlobRef): Fetching | undefined
  /** Resolves when the store has the blob. */
  fetch(layer: BlobRef, signal: AbortSignal): Promise<void>
}

/** Makes it for one store; layers are fetched in the order in which they are begun. */
export function createLayerFetches(store: Store, fetchLayer: FetchBlob): LayerFetches {
  const running = new Map<Digest, Fetching>()
  const limit = pLimit({ concurrency, rejectOnClear: true })
  const begin = (layer: BlobRef, signal: AbortSignal): Fetching => {
    const known = running.get(layer.digest)
    if (known !== undefined) return known
    const growing = new GrowingBlob(layer.size)
    const work = async () => {
      try {
        // Also among processes: whoever comes second finds it.
        await store.locks.withLock(
          `fetch ${layer.digest}`,
          async () => {
            if ((await store.blobs.size(layer.digest)) === undefined) await fetchLayer(layer, signal, growing)
          },
          { signal },
        )
      } finally {
        running.delete(layer.digest)
        growing.ended()
      }
    }
    const fetching = { growing, done: limit(work) }
    fetching.done.catch(() => {})
    running.set(layer.digest, fetching)
    return fetching
  }
  return {
    begin: (layer, signal) => void begin(layer, signal),
    underWay: (layer) => running.get(layer.digest),
    fetch: async (layer, signal) => {
      for (;;) {
        try {
          return await begin(layer, signal).done
        } catch (error) {
          // Whoever began it gave it up; that is no reason for us to.
          if (signal.aborted || !isCancelled(error)) throw error
        }
      }
    },
  }
}

/** Whether work was given up because somebody's signal fired. */
export function isCancelled(error: unknown): boolean {
  return isBuildError(error) && error.code === 'ERR_CANCELLED'
}
