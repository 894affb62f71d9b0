import type { CacheConfig } from '@tsbuild/buildkit-cache'
import type { Digest } from '@tsbuild/digest'
import type { StoredLayer } from '@tsbuild/store'
import type { CacheIndex, IndexedStep } from './types.ts'

/**
 * How many results one key may have: builds side by side that ran the same step may have got another result each, and what stands
 * upon either is found.
 */
const maxResultsOfKey = 3

/** How exact {@link IndexedStep.usedAt} is: an export that only has what is there already writes nothing for a day. */
const usedAtPrecisionMs = 24 * 60 * 60 * 1000

/**
 * Puts two indexes together: nothing of either is lost, except that of more than three results of one key the newest stay. What they
 * both have is as old as the older one and as used as the newer one.
 */
export function mergeIndexes(known: CacheIndex, added: CacheIndex): CacheIndex {
  return {
    buildkit: mergeConfigs(known.buildkit, added.buildkit),
    steps: mergeSteps(known.steps, added.steps),
    others: { ...known.others, ...added.others },
  }
}

/** Their records and layers one after the other; what is there twice is written once. */
function mergeConfigs(known: CacheConfig, added: CacheConfig): CacheConfig {
  const layers = known.layers.length
  const records = known.records.length
  if (records === 0) return added
  return {
    layers: [
      ...known.layers,
      ...added.layers.map((layer) => ({ ...layer, parent: layer.parent < 0 ? -1 : layer.parent + layers })),
    ],
    records: [
      ...known.records,
      ...added.records.map((record) => ({
        ...record,
        inputs: record.inputs.map((links) =>
          links.map((link) => ({ ...link, record: link.record + records })),
        ),
        results: record.results.map((result) => ({ ...result, layer: result.layer + layers })),
        chains: record.chains.map((chain) => ({
          ...chain,
          layers: chain.layers.map((layer) => layer + layers),
        })),
      })),
    ],
  }
}

function mergeSteps(known: readonly IndexedStep[], added: readonly IndexedStep[]): readonly IndexedStep[] {
  const merged: IndexedStep[] = []
  const places = new Map<string, number>()
  for (const step of [...known, ...added]) {
    const names = step.keys.map((key) => `${key} ${step.outputKey}`)
    const place = names.map((name) => places.get(name)).find((one) => one !== undefined) ?? merged.length
    const before = merged[place]
    merged[place] = before === undefined ? step : mergeStep(before, step)
    for (const name of names) places.set(name, place)
  }
  return withoutSuperseded(merged)
}

/** Two that are the same result, perhaps in several forms. */
function mergeStep(known: IndexedStep, added: IndexedStep): IndexedStep {
  const isStale = added.usedAt - known.usedAt >= usedAtPrecisionMs
  const first = added.createdAt < known.createdAt ? added : known
  return {
    ...first,
    keys: [...new Set([...known.keys, ...added.keys])],
    layer: mergeLayers(known.layer, added.layer),
    usedAt: isStale ? added.usedAt : known.usedAt,
  }
}

/** A form that is known stays so. */
function mergeLayers(known: readonly StoredLayer[], added: readonly StoredLayer[]): readonly StoredLayer[] {
  const merged = new Map<Digest, StoredLayer>(known.map((layer) => [layer.digest, layer]))
  for (const layer of added) {
    const before = merged.get(layer.digest)
    if (before?.form === undefined) merged.set(layer.digest, layer)
  }
  return [...merged.values()]
}

/** Takes the keys that have newer results away from a step; without any it goes. */
function withoutSuperseded(steps: readonly IndexedStep[]): readonly IndexedStep[] {
  const results = new Map<Digest, number>()
  const newestFirst = steps.toSorted(
    (a, b) => b.createdAt - a.createdAt || (a.outputKey < b.outputKey ? -1 : 1),
  )
  return newestFirst.flatMap((step): IndexedStep[] => {
    const keys = step.keys.filter((key) => {
      const count = (results.get(key) ?? 0) + 1
      results.set(key, count)
      return count <= maxResultsOfKey
    })
    return keys.length === 0 ? [] : [{ ...step, keys }]
  })
}
