import { type CacheManifestForm, maxBuildkitDocumentBytes } from '@tsbuild/buildkit-cache'
import type { Digest } from '@tsbuild/digest'
import { maxDocumentBytes } from '@tsbuild/oci'
import { type CacheDocuments, writeCacheIndex } from './cache-index.ts'
import { mergeIndexes } from './merge.ts'
import { type CacheIndex, emptyIndex, type IndexedStep } from './types.ts'

/** A step that no export had for so long goes. */
const maxUnusedMs = 30 * 24 * 60 * 60 * 1000

/** How much of a config BuildKit's records may take before those of former builds go, in bytes. */
const maxBuildkitPart = maxBuildkitDocumentBytes * 0.75

/** A cache to be written. */
export interface FittedCache {
  readonly index: CacheIndex
  readonly documents: CacheDocuments
  /** Steps of former builds that had no place any more. */
  readonly dropped: number
}

/**
 * Adds what a build has to a cache, so that neither its config nor its manifest is larger than BuildKit reads (1 MiB): of the
 * steps of former builds those go that were used the longest time ago. What the build itself has stays, and what alone is
 * larger than that is for tsbuild only, up to 4 MiB.
 *
 * @param now Unix ms
 */
export function addToCache(
  known: CacheIndex,
  added: CacheIndex,
  form: CacheManifestForm,
  now: number,
): FittedCache {
  const recent = known.steps.filter(({ usedAt }) => now - usedAt < maxUnusedMs)
  const merged = mergeIndexes(withBuildkitPart(known, added, form, recent), added)
  const fits = (index: CacheIndex, limit: number) => {
    const { manifest, config } = writeCacheIndex(index, form)
    return Math.max(manifest.bytes.byteLength, config.bytes.byteLength) <= limit
  }
  const own = namesOf(added.steps)
  const isOwn = (step: IndexedStep) => step.keys.some((key) => own.has(`${key} ${step.outputKey}`))
  const byUse = merged.steps.toSorted(
    (a, b) => Number(isOwn(b)) - Number(isOwn(a)) || b.usedAt - a.usedAt || b.createdAt - a.createdAt,
  )
  const ownCount = byUse.filter(isOwn).length
  const first = (count: number): CacheIndex => ({ ...merged, steps: byUse.slice(0, count) })
  let index = first(mostThat((count) => fits(first(count), maxBuildkitDocumentBytes), ownCount, byUse.length))
  if (!fits(index, maxBuildkitDocumentBytes)) {
    // A build too large for BuildKit. Without what others had it may be small enough.
    const alone = { ...index, buildkit: added.buildkit, others: {} }
    index = fits(alone, maxBuildkitDocumentBytes) ? alone : { ...alone, buildkit: emptyIndex.buildkit }
    const steps = index.steps
    const some = (count: number) => ({ ...index, steps: steps.slice(0, count) })
    index = some(mostThat((count) => fits(some(count), maxDocumentBytes), 0, steps.length))
  }
  return { index, documents: writeCacheIndex(index, form), dropped: merged.steps.length - index.steps.length }
}

/** Former builds' records of BuildKit's go all at once where they leave no room: each of them may stand upon any other. */
function withBuildkitPart(
  known: CacheIndex,
  added: CacheIndex,
  form: CacheManifestForm,
  steps: readonly IndexedStep[],
): CacheIndex {
  const both = mergeIndexes({ ...known, steps: [] }, { ...added, steps: [] })
  const { config, manifest } = writeCacheIndex({ ...both, others: {} }, form)
  const isLarge = Math.max(config.bytes.byteLength, manifest.bytes.byteLength) > maxBuildkitPart
  return { ...known, steps, buildkit: isLarge ? emptyIndex.buildkit : known.buildkit }
}

function namesOf(steps: readonly IndexedStep[]): ReadonlySet<string> {
  return new Set(steps.flatMap(({ keys, outputKey }) => keys.map((key: Digest) => `${key} ${outputKey}`)))
}

/** The largest number from `least` to `most` that is good, where all below a good one are; `least` where none is. */
function mostThat(isGood: (count: number) => boolean, least: number, most: number): number {
  if (isGood(most)) return most
  let [good, bad] = [least, most]
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2)
    if (isGood(middle)) good = middle
    else bad = middle
  }
  return good
}
