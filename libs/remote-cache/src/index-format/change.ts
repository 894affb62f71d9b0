import type { CacheManifestForm } from '@tsbuild/buildkit-cache'
import { addToCache, type FittedCache } from './fit.ts'
import { type CacheIndex, emptyIndex } from './types.ts'

/** Makes of what a cache says what it shall say. Asked again where somebody else wrote in between. */
export type Change = (known: CacheIndex | undefined) => FittedCache

/** The change that adds what a build has. @param now Unix ms; the same for every try */
export function additionOf(added: CacheIndex, form: CacheManifestForm, now: number): Change {
  return (known = emptyIndex) => addToCache(known, added, form, now)
}
