import { existsSync } from 'node:fs'
import { EnvironmentError } from '@tsbuild/errors'
import type { CachedLayerRef, CachedLayers } from '@tsbuild/snapshot'
import type { Store } from '@tsbuild/store'

/** Layers that caches elsewhere made known to this build, or to an earlier one. */
export interface LayersElsewhere {
  readonly cached: CachedLayers
  /** Whether a layer can be had, as far as that is known without asking anybody. */
  has(layer: CachedLayerRef): boolean
}

/** Without a cache elsewhere: what earlier builds fetched can be had, and nothing else. */
export function storedLayersOnly(store: Store): LayersElsewhere {
  const refused = new Set<string>()
  const refuse = ({ blobs }: CachedLayerRef) => {
    for (const { digest } of blobs) refused.add(digest)
  }
  return {
    cached: {
      async fetch({ layer, digest }) {
        refuse(layer)
        throw new EnvironmentError(
          'ERR_CACHE_LAYER',
          `Cannot fetch layer "${digest}": the cache that had it is not one of this build`,
        )
      },
      refuse(blob, error) {
        refuse(blob.layer)
        const cause = error instanceof Error ? error.message : String(error)
        return new EnvironmentError('ERR_CACHE_LAYER', `Cannot unpack layer "${blob.digest}": ${cause}`)
      },
    },
    has: (layer) => !layer.blobs.some(({ digest }) => refused.has(digest)) && hasBlob(store, layer),
  }
}

/** Whether the store has the layer in some form. Synchronous and cheap: asked for each step that was found. */
export function hasBlob(store: Store, { blobs }: CachedLayerRef): boolean {
  return blobs.some(({ digest }) => existsSync(store.blobs.path(digest)))
}
