import { type Digest, digestBytes } from '@tsbuild/digest'
import type { Descriptor } from '@tsbuild/oci'
import { chainOf, depthsOf } from './chain.ts'
import { toGoTime } from './go-time.ts'
import {
  type BuildkitRecord,
  type CacheConfig,
  type CacheLayer,
  maxBuildkitDocumentBytes,
  type RecordLink,
} from './types.ts'

/** The bytes of a cache config, and the blobs that have to be beside it. */
export interface WrittenCacheConfig {
  readonly bytes: Uint8Array
  /** Each blob once, in the order of the config. */
  readonly layers: readonly Descriptor[]
}

/**
 * Writes a cache config as BuildKit does: sorted, each record and each layer once, nothing that no result needs, the newest result
 * of each record. Configs that say the same have the same bytes.
 *
 * @param members others beside BuildKit's, see `ParsedCacheConfig`
 */
export function writeCacheConfig(
  config: CacheConfig,
  members: Readonly<Record<string, unknown>> = {},
): WrittenCacheConfig {
  const { layers, records } = normalizeCacheConfig(config)
  const written = {
    layers: layers.length === 0 ? undefined : layers.map(layerToJson),
    records: records.length === 0 ? undefined : records.map(recordToJson),
    ...members,
  }
  const descriptors = new Map(layers.map(({ blob, descriptor }) => [blob, descriptor]))
  return { bytes: Buffer.from(JSON.stringify(written)), layers: [...descriptors.values()] }
}

/** The config in the order in which it is written. See {@link writeCacheConfig}. */
export function normalizeCacheConfig(config: CacheConfig): CacheConfig {
  const chains = chainNames(config.layers)
  const recordIds = identifyRecords(config.records)
  const first = new Map<Digest, number>()
  const newest = new Map<Digest, BestResult | undefined>()
  for (const [place, id] of recordIds.entries()) {
    if (!first.has(id)) first.set(id, place)
    const results = resultsOf(config.records[place] as BuildkitRecord)
    newest.set(
      id,
      results.reduce((before, result) => newer(before, result, chains), newest.get(id)),
    )
  }
  // Only now: what lost against another result of its record is not needed, wherever it came from.
  const layerPlaces = sortLayers(config.layers, chains, [...newest.values()])
  const ids = [...first.keys()].sort(byRecord(config.records, first))
  const places = new Map(ids.map((id, place) => [id, place]))
  const placeOf = (link: RecordLink) => places.get(recordIds[link.record] as Digest) ?? 0
  const records = ids.map((id): BuildkitRecord => {
    const { digest, inputs } = config.records[first.get(id) ?? 0] as BuildkitRecord
    const result = newest.get(id)
    const chain = result?.layers.map((layer) => layerPlaces.places.get(layer) ?? 0) ?? []
    const { createdAt } = result ?? {}
    const top = chain.at(-1)
    return {
      digest,
      inputs: inputs.map((links) => uniqueLinks(links.map((link) => ({ ...link, record: placeOf(link) })))),
      results: result?.kind === 'parents' && top !== undefined ? [{ layer: top, createdAt }] : [],
      chains: result?.kind === 'chain' && top !== undefined ? [{ layers: chain, createdAt }] : [],
    }
  })
  return { layers: layerPlaces.layers, records: oneRecordEach(layerPlaces.layers, records) }
}

/**
 * BuildKit 0.8, which is in Docker 20.10, loads one record of those that name a chain of layers, whichever it finds first; with
 * what that one stands on it then makes an image that lacks layers. It reads no `chains`, so of these records all but one have theirs there.
 */
function oneRecordEach(
  layers: readonly CacheLayer[],
  records: readonly BuildkitRecord[],
): readonly BuildkitRecord[] {
  const named = new Set<number>()
  const depths = depthsOf(layers)
  // A place has two bytes at least. Where many records name one long chain, most go without: no document could hold them.
  let room = maxBuildkitDocumentBytes / 2
  return records.map((record) => {
    const [result] = record.results
    if (result === undefined) return record
    if (!named.has(result.layer)) {
      named.add(result.layer)
      return record
    }
    const { layer, createdAt } = result
    room -= depths[layer] ?? 0
    if (room < 0) return { ...record, results: [] }
    return { ...record, results: [], chains: [{ layers: chainOf(layers, layer), createdAt }] }
  })
}

interface BestResult {
  readonly kind: 'parents' | 'chain'
  /** Of `parents` the topmost only. */
  readonly layers: readonly number[]
  readonly createdAt: number | undefined
}

function resultsOf({ results, chains }: BuildkitRecord): readonly BestResult[] {
  return [
    ...results.map(({ layer, createdAt }) => ({ kind: 'parents' as const, layers: [layer], createdAt })),
    ...chains.map((chain) => ({ kind: 'chain' as const, ...chain })),
  ]
}

/** The same one in whatever order they come, or two writers of one cache would undo each other for ever. */
function newer(a: BestResult | undefined, b: BestResult, chains: readonly string[]): BestResult {
  if (a === undefined) return b
  if (a.createdAt !== b.createdAt) return (b.createdAt ?? -Infinity) > (a.createdAt ?? -Infinity) ? b : a
  // What every version reads is better than what only later ones do.
  if (a.kind !== b.kind) return b.kind === 'parents' ? b : a
  const nameOf = ({ layers }: BestResult) => chains[layers.at(-1) ?? -1]
  return compare(nameOf(b), nameOf(a)) < 0 ? b : a
}

/** Needed layers in order; one for each chain, however often it was there. */
function sortLayers(
  layers: readonly CacheLayer[],
  chains: readonly string[],
  results: readonly (BestResult | undefined)[],
) {
  const needed = new Set<number>()
  for (const result of results) {
    for (const top of result?.layers ?? []) {
      for (let at = top; at >= 0 && !needed.has(at); at = layers[at]?.parent ?? -1) needed.add(at)
    }
  }
  const sorted = [...needed].sort(
    (a, b) => compare(layers[a]?.blob, layers[b]?.blob) || compare(chains[a], chains[b]),
  )
  const firstOf = new Map<string | undefined, number>()
  for (const place of sorted) if (!firstOf.has(chains[place])) firstOf.set(chains[place], firstOf.size)
  const places = new Map(sorted.map((place) => [place, firstOf.get(chains[place]) ?? 0]))
  const kept = sorted.filter((place, index) => chains[place] !== chains[sorted[index - 1] ?? -1])
  return {
    places,
    layers: kept.flatMap((place): CacheLayer[] => {
      const layer = layers[place]
      return layer === undefined ? [] : [{ ...layer, parent: places.get(layer.parent) ?? -1 }]
    }),
  }
}

/** What a layer and all below it are, for each. */
function chainNames(layers: readonly CacheLayer[]): readonly string[] {
  const names: string[] = []
  for (const start of layers.keys()) {
    const path: number[] = []
    for (let at = start; at >= 0 && names[at] === undefined; at = layers[at]?.parent ?? -1) path.push(at)
    for (let at = path.pop(); at !== undefined; at = path.pop()) {
      const { blob, parent } = layers[at] as CacheLayer
      names[at] = digestBytes(`${names[parent] ?? ''} ${blob}`)
    }
  }
  return names
}

/** Names each record by all that it says: two that say the same have one name. */
function identifyRecords(records: readonly BuildkitRecord[]): readonly Digest[] {
  const ids: Digest[] = []
  for (const start of records.keys()) {
    const path = [start]
    while (path.length > 0) {
      const place = path.at(-1) ?? 0
      const { digest, inputs } = records[place] as BuildkitRecord
      const missing =
        ids[place] === undefined ? inputs.flat().filter(({ record }) => ids[record] === undefined) : []
      if (missing.length > 0) {
        for (const { record } of missing) path.push(record)
        continue
      }
      path.pop()
      const said = inputs.map((links) => links.map(({ record, selector }) => [ids[record], selector]).sort())
      ids[place] ??= digestBytes(JSON.stringify([digest, said]))
    }
  }
  return ids
}

/** BuildKit's order, and by name what is equal in it. */
function byRecord(records: readonly BuildkitRecord[], placeOf: ReadonlyMap<Digest, number>) {
  const recordOf = (id: Digest) => records[placeOf.get(id) ?? 0] as BuildkitRecord
  return (a: Digest, b: Digest): number => {
    const [left, right] = [recordOf(a), recordOf(b)]
    return (
      compare(left.digest, right.digest) ||
      left.inputs.length - right.inputs.length ||
      compareLists(left.inputs, right.inputs, (x, y) => x.length - y.length || compareLinks(records, x, y)) ||
      compare(a, b)
    )
  }
}

function compareLinks(
  records: readonly BuildkitRecord[],
  a: readonly RecordLink[],
  b: readonly RecordLink[],
) {
  return compareLists(
    a,
    b,
    (x, y) =>
      compare(x.selector, y.selector) || compare(records[x.record]?.digest, records[y.record]?.digest),
  )
}

function compareLists<T>(a: readonly T[], b: readonly T[], each: (a: T, b: T) => number): number {
  for (const [index, value] of a.entries()) {
    const other = b[index]
    const order = other === undefined ? 0 : each(value, other)
    if (order !== 0) return order
  }
  return 0
}

function uniqueLinks(links: readonly RecordLink[]): readonly RecordLink[] {
  const sorted = [...links].sort((a, b) => a.record - b.record || compare(a.selector, b.selector))
  return sorted.filter((link, index) => {
    const before = sorted[index - 1]
    return before === undefined || before.record !== link.record || before.selector !== link.selector
  })
}

function compare(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0
  return (a ?? '') < (b ?? '') ? -1 : 1
}

function layerToJson({ blob, parent }: CacheLayer): object {
  return { blob, parent: parent === 0 ? undefined : parent }
}

/** Members in the order of Go's struct. */
export function recordToJson({ digest, inputs, results, chains }: BuildkitRecord): object {
  const filled = <T>(list: readonly T[]) => (list.length === 0 ? undefined : list)
  return {
    layers: filled(results.map(({ layer, createdAt }) => ({ layer, createdAt: toGoTime(createdAt) }))),
    chains: filled(chains.map(({ layers, createdAt }) => ({ layers, createdAt: toGoTime(createdAt) }))),
    digest,
    inputs: filled(
      inputs.map((links) =>
        links.map(({ selector, record }) => ({ selector: selector || undefined, link: record })),
      ),
    ),
  }
}
