import { formatReference, parseReference } from '@tsbuild/oci'
import type { CacheSource, CacheTarget } from './types.ts'

/** The tag of a directory where none is named. */
export const usualTag = 'latest'

/** How the user is told of a cache: who reads a place calls it as who writes it does. */
export function cacheName(cache: CacheSource | CacheTarget): string {
  switch (cache.type) {
    case 'registry':
      return formatReference(parseReference(cache.ref))
    case 'local': {
      const path = 'dest' in cache ? cache.dest : cache.src
      const digest = 'digest' in cache ? cache.digest : undefined
      return digest === undefined ? `${path}:${cache.tag ?? usualTag}` : `${path}@${digest}`
    }
    case 'server':
      return cache.url
    case 'inline':
      return 'the image'
  }
}
