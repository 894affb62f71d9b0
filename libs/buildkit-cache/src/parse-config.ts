import { type Digest, isDigest, parseDiffId } from '@tsbuild/digest'
import { type Descriptor, invalidDocument, parseJsonObject } from '@tsbuild/oci'
import {
  count,
  either,
  integer,
  isRecord,
  listOf,
  nothing,
  objectOf,
  oneOf,
  optional,
  type Shape,
  text,
} from '@tsbuild/shape'
import { fromGoTime } from './go-time.ts'
import type { BuildkitRecord, CacheConfig, CacheLayer } from './types.ts'

/** A cache config, and what else its text says. */
export interface ParsedCacheConfig {
  readonly config: CacheConfig
  /** Members of other names: BuildKit passes them over, which is where our own records are. */
  readonly members: Readonly<Record<string, unknown>>
}

const digest: Shape = (value) => typeof value === 'string' && isDigest(value)
/** Go writes a list that is nil as null. */
const maybe = (shape: Shape): Shape => optional(either(nothing, shape))

const annotationsShape = objectOf({
  mediaType: optional(text),
  diffID: optional(either(oneOf(''), digest)),
  size: optional(count),
  createdAt: optional(text),
})

const layersShape = listOf(
  objectOf({ blob: digest, parent: optional(integer), annotations: maybe(annotationsShape) }),
)

const recordsShape = listOf(
  objectOf({
    digest,
    layers: maybe(listOf(objectOf({ layer: count, createdAt: optional(text) }))),
    chains: maybe(listOf(objectOf({ layers: listOf(count), createdAt: optional(text) }))),
    inputs: maybe(listOf(listOf(objectOf({ selector: optional(text), link: count })))),
  }),
)

interface WrittenLayer {
  readonly blob: Digest
  readonly parent?: number
  readonly annotations?: {
    readonly mediaType?: string
    readonly diffID?: string
    readonly size?: number
    readonly createdAt?: string
  } | null
}

interface WrittenRecord {
  readonly digest: Digest
  readonly layers?: readonly { readonly layer: number; readonly createdAt?: string }[] | null
  readonly chains?: readonly { readonly layers: readonly number[]; readonly createdAt?: string }[] | null
  readonly inputs?: readonly (readonly { readonly selector?: string; readonly link: number }[])[] | null
}

const what = 'cache config'

/**
 * Parses a cache config.
 *
 * @param bytes untrusted; of at most 4 MiB
 * @param descriptors of the manifest that names the config. A layer that is neither among them nor described in the config
 *   itself cannot be fetched: results upon it are left out
 * @throws {UserError} `ERR_MANIFEST_INVALID` if it is none, a place in it is not there, or layers or records go in circles
 */
export function parseCacheConfig(bytes: Uint8Array, descriptors: readonly Descriptor[]): ParsedCacheConfig {
  const { value } = parseJsonObject(bytes, what)
  if (!isRecord(value)) throw invalidDocument(what, 'it is not an object')
  const { layers = null, records = null, ...members } = value
  const written = layers ?? []
  if (!isLayers(written)) throw invalidDocument(what, 'layers is not a list of layers')
  const known = new Map(descriptors.map((descriptor) => [descriptor.digest, descriptor]))
  return {
    config: cacheConfigOf(
      written.map((layer) => readLayer(layer, known)),
      records ?? [],
    ),
    members,
  }
}

/**
 * A config of layers and the records as they are written; layers that nothing describes are null.
 *
 * @throws {UserError} as {@link parseCacheConfig}
 */
export function cacheConfigOf(layers: readonly PlacedLayer[], records: unknown): CacheConfig {
  if (!isRecords(records)) throw invalidDocument(what, 'records is not a list of records')
  refusePlaces(layers, records)
  refuseCircles(
    'layers',
    layers.map(({ parent }) => (parent < 0 ? [] : [parent])),
  )
  refuseCircles(
    'records',
    records.map(({ inputs }) => (inputs ?? []).flatMap((each) => each.map(({ link }) => link))),
  )
  return dropUnknown(layers, records.map(readRecord))
}

/** A layer whose blob may be described nowhere. */
export type PlacedLayer = Omit<CacheLayer, 'descriptor'> & { readonly descriptor: Descriptor | undefined }

function isLayers(value: unknown): value is readonly WrittenLayer[] {
  return layersShape(value)
}

function isRecords(value: unknown): value is readonly WrittenRecord[] {
  return recordsShape(value)
}

function readLayer(
  { blob, parent = 0, annotations }: WrittenLayer,
  known: ReadonlyMap<Digest, Descriptor>,
): PlacedLayer {
  const descriptor = known.get(blob) ?? describedIn(blob, annotations ?? {})
  return placedLayer(blob, parent, descriptor)
}

/** What a descriptor's annotations say of a layer at a place. */
function placedLayer(blob: Digest, parent: number, descriptor: Descriptor | undefined): PlacedLayer {
  const diffId = descriptor?.annotations?.['containerd.io/uncompressed']
  return {
    blob,
    parent,
    descriptor,
    diffId: diffId === undefined || !isDigest(diffId) ? undefined : parseDiffId(diffId),
    createdAt: fromGoTime(descriptor?.annotations?.['buildkit/createdat']),
  }
}

/** Caches that have no manifest describe their layers in the config. */
function describedIn(
  blob: Digest,
  { mediaType, diffID, size, createdAt }: NonNullable<WrittenLayer['annotations']>,
): Descriptor | undefined {
  if (mediaType === undefined || mediaType === '' || size === undefined) return undefined
  return {
    mediaType,
    digest: blob,
    size,
    annotations: {
      ...(diffID === undefined || diffID === '' ? {} : { 'containerd.io/uncompressed': diffID }),
      ...(createdAt === undefined ? {} : { 'buildkit/createdat': createdAt }),
    },
  }
}

function readRecord({ digest, layers, chains, inputs }: WrittenRecord): BuildkitRecord {
  return {
    digest,
    inputs: (inputs ?? []).map((each) => each.map(({ selector = '', link }) => ({ selector, record: link }))),
    results: (layers ?? []).map(({ layer, createdAt }) => ({ layer, createdAt: fromGoTime(createdAt) })),
    chains: (chains ?? []).map((chain) => ({ layers: chain.layers, createdAt: fromGoTime(chain.createdAt) })),
  }
}

function refusePlaces(layers: readonly PlacedLayer[], records: readonly WrittenRecord[]): void {
  const refuse = (kind: string, place: number) => invalidDocument(what, `there is no ${kind} ${place}`)
  for (const { parent } of layers) {
    if (parent < -1 || parent >= layers.length) throw refuse('layer', parent)
  }
  for (const record of records) {
    const places = [
      ...(record.layers ?? []).map(({ layer }) => layer),
      ...(record.chains ?? []).flatMap((chain) => chain.layers),
    ]
    for (const place of places) if (place >= layers.length) throw refuse('layer', place)
    for (const input of record.inputs ?? []) {
      if (input.length === 0) throw invalidDocument(what, 'a record has an input without any alternative')
      for (const { link } of input) if (link >= records.length) throw refuse('record', link)
    }
  }
}

/** Goes along the edges without recursion: a chain may be as long as the document. */
function refuseCircles(kind: string, edges: readonly (readonly number[])[]): void {
  const done = new Set<number>()
  const open = new Set<number>()
  for (let start = 0; start < edges.length; start += 1) {
    const path = done.has(start) ? [] : [{ node: start, next: 0 }]
    while (path.length > 0) {
      const top = path.at(-1)
      if (top === undefined) break
      open.add(top.node)
      const target = edges[top.node]?.[top.next]
      top.next += 1
      if (target === undefined) {
        done.add(top.node)
        open.delete(top.node)
        path.pop()
      } else if (open.has(target)) throw invalidDocument(what, `its ${kind} go in circles`)
      else if (!done.has(target)) path.push({ node: target, next: 0 })
    }
  }
}

/** Leaves out layers that cannot be fetched, those upon them, and the results that need them. */
function dropUnknown(layers: readonly PlacedLayer[], records: readonly BuildkitRecord[]): CacheConfig {
  const places = keptPlaces(layers)
  const kept: CacheLayer[] = []
  for (const [place, { descriptor, parent, ...layer }] of layers.entries()) {
    if (descriptor === undefined || places[place] === undefined) continue
    kept.push({ ...layer, descriptor, parent: parent === -1 ? -1 : (places[parent] ?? -1) })
  }
  return {
    layers: kept,
    records: records.map((record) => ({
      ...record,
      results: record.results.flatMap(({ layer, createdAt }) => {
        const place = places[layer]
        return place === undefined ? [] : [{ layer: place, createdAt }]
      }),
      chains: record.chains.flatMap((chain) => {
        const chained = chain.layers.flatMap((layer) => places[layer] ?? [])
        return chained.length < chain.layers.length ? [] : [{ ...chain, layers: chained }]
      }),
    })),
  }
}

/** For each layer its place among those that are kept; undefined for one that is not. */
function keptPlaces(layers: readonly PlacedLayer[]): readonly (number | undefined)[] {
  const children = new Map<number, number[]>()
  for (const [place, { parent }] of layers.entries()) {
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [place])
    else siblings.push(place)
  }
  const kept = new Set<number>()
  const pending = [...(children.get(-1) ?? [])]
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    if (layers[place]?.descriptor === undefined) continue
    kept.add(place)
    for (const child of children.get(place) ?? []) pending.push(child)
  }
  let next = 0
  return layers.map((_, place) => {
    if (!kept.has(place)) return undefined
    next += 1
    return next - 1
  })
}
