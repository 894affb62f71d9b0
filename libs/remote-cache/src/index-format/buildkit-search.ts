import { type CacheConfig, type FoundStep, type StepSearch, searchSteps } from '@tsbuild/buildkit-cache'
import type { Digest } from '@tsbuild/digest'
import type { CacheRecord, PlannedStep, WantedRecord } from '@tsbuild/solver'
import { foundRecord } from '../found-record.ts'
import type { BuildkitFacts, FoundRecord } from '../types.ts'
import { storedLayer } from './steps-json.ts'

/** Finds steps by BuildKit's records, where there are any. */
export interface BuildkitSearch {
  plan(
    steps: readonly PlannedStep[],
    known: (key: Digest) => CacheRecord | undefined,
  ): Promise<readonly FoundRecord[]>
  find(wanted: readonly WantedRecord[]): Promise<readonly FoundRecord[]>
}

/**
 * Makes a search over a cache.
 *
 * @param place the cache, by which layers are fetched
 */
export function createBuildkitSearch(
  config: CacheConfig,
  facts: (() => BuildkitFacts | undefined) | undefined,
  place: string,
): BuildkitSearch {
  let search: StepSearch | undefined
  return {
    async plan(steps, known) {
      const tools = config.records.length === 0 ? undefined : facts?.()
      if (tools === undefined) return []
      search = searchSteps(config, { ...tools, known })
      return (await search.plan(steps)).flatMap((found) => recordOf(found, place))
    },
    async find(wanted) {
      const found: FoundRecord[] = []
      for (const one of search === undefined ? [] : wanted) {
        const step = await search?.find(one)
        if (step !== undefined) found.push(...recordOf(step, place))
      }
      return found
    },
  }
}

/** None for a layer of a form that nobody knows. */
function recordOf(
  { step, inputs, key, outputKey, layer, createdAt: made }: FoundStep,
  place: string,
): readonly FoundRecord[] {
  // Times of ours begin in 1970.
  const createdAt = Math.max(0, made)
  const blobs = storedLayer(layer.descriptor, undefined)
  if (blobs.length === 0) return []
  const result = { keys: [key], outputKey, name: step.vertex.name, layer: blobs, createdAt, durationMs: 0 }
  return [foundRecord(result, [key], { op: step.op, inputs, inputNames: step.inputNames }, place)]
}
