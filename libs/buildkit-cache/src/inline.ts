import { type DiffId, isDigest, parseDiffId } from '@tsbuild/digest'
import { type Descriptor, invalidDocument, type Manifest, parseJsonObject } from '@tsbuild/oci'
import { isRecord, parseJson } from '@tsbuild/shape'
import { chainOf } from './chain.ts'
import { cacheConfigOf, type PlacedLayer } from './parse-config.ts'
import type { BuildkitRecord, CacheConfig, CacheLayer } from './types.ts'
import { normalizeCacheConfig, recordToJson } from './write-config.ts'

/** The member of an image's config that holds its inline cache. */
export const inlineCacheMember = 'moby.buildkit.cache.v0'

const what = 'inline cache'

/**
 * Reads the cache that an image carries in its config. Its layers are those of the image, one upon the other.
 *
 * @param bytes of the image's config; untrusted
 * @returns undefined where there is none
 * @throws {UserError} `ERR_MANIFEST_INVALID` if it is none, or its layers are not those of the manifest
 */
export function parseInlineCache(
  bytes: Uint8Array,
  manifest: Pick<Manifest, 'layers'>,
): CacheConfig | undefined {
  const { value } = parseJsonObject(bytes, what)
  if (!isRecord(value)) throw invalidDocument(what, 'the image config is not an object')
  const text = value[inlineCacheMember]
  if (text === undefined || text === null || text === '') return undefined
  if (typeof text !== 'string') throw invalidDocument(what, `${inlineCacheMember} is not a text`)
  const diffIds = diffIdsOf(value)
  if (diffIds.length !== manifest.layers.length) {
    throw invalidDocument(what, 'the image config has not as many layers as the manifest')
  }
  const created = layerTimes(value)
  const layers = manifest.layers.map((descriptor, place): PlacedLayer => {
    const annotated = {
      ...descriptor,
      annotations: { ...descriptor.annotations, ...annotationsOf(diffIds[place], created[place]) },
    }
    return {
      blob: descriptor.digest,
      parent: place - 1,
      descriptor: annotated,
      diffId: diffIds[place],
      createdAt: created[place],
    }
  })
  return cacheConfigOf(layers, parseJson(Buffer.from(text, 'base64').toString('utf8')))
}

function annotationsOf(diffId: DiffId | undefined, createdAt: number | undefined): Record<string, string> {
  return {
    ...(diffId === undefined ? {} : { 'containerd.io/uncompressed': diffId }),
    ...(createdAt === undefined ? {} : { 'buildkit/createdat': new Date(createdAt).toISOString() }),
  }
}

function diffIdsOf(image: Readonly<Record<string, unknown>>): readonly DiffId[] {
  const listed = isRecord(image.rootfs) ? image.rootfs.diff_ids : undefined
  return (Array.isArray(listed) ? listed : []).map((diffId: unknown) => {
    if (typeof diffId !== 'string' || !isDigest(diffId))
      throw invalidDocument(what, 'a layer of the image config is no digest')
    return parseDiffId(diffId)
  })
}

/** When each layer was made, as the image's history has it. */
function layerTimes(image: Readonly<Record<string, unknown>>): readonly (number | undefined)[] {
  const history: readonly unknown[] = Array.isArray(image.history) ? image.history : []
  return history.flatMap((entry) => {
    if (!isRecord(entry) || entry.empty_layer === true) return []
    const ms = typeof entry.created === 'string' ? Date.parse(entry.created) : Number.NaN
    return [Number.isNaN(ms) ? undefined : ms]
  })
}

/**
 * The value of {@link inlineCacheMember} for an image of these layers: results upon other layers are left out, and so are records
 * that lead to no result.
 *
 * @param layers of the image, lowest first: a blob of the config is meant by its digest or its diff ID
 * @returns undefined where the config has nothing about the image
 */
export function writeInlineCache(
  config: CacheConfig,
  layers: readonly { readonly digest: Descriptor['digest'] | undefined; readonly diffId: DiffId }[],
): string | undefined {
  const placeOf = imagePlaces(config.layers, layers)
  const records = config.records.map((record): BuildkitRecord => {
    const found = allChains(config.layers, record).flatMap(({ chain, kind }) => {
      const placed = chain.flatMap((layer, index) => placeOf(layer, index) ?? [])
      return placed.length < chain.length ? [] : [{ placed, kind }]
    })
    const isPlain = ({ placed, kind }: (typeof found)[number]) =>
      kind === 'parents' && placed.every((place, index) => place === index)
    return {
      ...record,
      results: found
        .filter(isPlain)
        .map(({ placed }) => ({ layer: placed.length - 1, createdAt: undefined })),
      chains: found
        .filter((each) => !isPlain(each))
        .map(({ placed }) => ({ layers: placed, createdAt: undefined })),
    }
  })
  const image = layers.map((layer, place): CacheLayer => {
    const blob = layer.digest ?? (layer.diffId as string as Descriptor['digest'])
    const descriptor = { mediaType: '', digest: blob, size: 0 }
    return { blob, parent: place - 1, descriptor, diffId: layer.diffId, createdAt: undefined }
  })
  const written = keepOrder(image, withoutDeadEnds(records))
  if (written.every(({ results, chains }) => results.length + chains.length === 0)) return undefined
  return Buffer.from(JSON.stringify(written.map(recordToJson))).toString('base64')
}

/** Records in BuildKit's order; layers by their place in the image, not sorted. */
function keepOrder(
  image: readonly CacheLayer[],
  records: readonly BuildkitRecord[],
): readonly BuildkitRecord[] {
  const sorted = normalizeCacheConfig({ layers: image, records })
  // A chain of one image has one place for each blob and what is below it, so that its length tells the place.
  const depthOf = (layer: number): number => {
    let depth = -1
    for (let at = layer; at >= 0; at = sorted.layers[at]?.parent ?? -1) depth += 1
    return depth
  }
  return sorted.records.map((record) => ({
    ...record,
    results: record.results.map((result) => ({ ...result, layer: depthOf(result.layer) })),
    chains: record.chains.map((chain) => ({ ...chain, layers: chain.layers.map(depthOf) })),
  }))
}

/** Finds a layer of the config in the image: at the place where it would be in order, or else anywhere. */
function imagePlaces(
  layers: readonly CacheLayer[],
  image: readonly { readonly digest: Descriptor['digest'] | undefined; readonly diffId: DiffId }[],
): (layer: number, inOrder: number) => number | undefined {
  const byName = new Map<string, number>()
  for (const [place, { digest, diffId }] of image.entries()) {
    byName.set(diffId, place)
    if (digest !== undefined) byName.set(digest, place)
  }
  return (layer, inOrder) => {
    const names: readonly (string | undefined)[] = [layers[layer]?.blob, layers[layer]?.diffId]
    const { digest, diffId } = image[inOrder] ?? {}
    if (names.some((name) => name !== undefined && (name === digest || name === diffId))) return inOrder
    return names.flatMap((name) => byName.get(name ?? '') ?? [])[0]
  }
}

function allChains(layers: readonly CacheLayer[], { results, chains }: BuildkitRecord) {
  return [
    ...results.map(({ layer }) => ({ chain: chainOf(layers, layer), kind: 'parents' as const })),
    ...chains.map((each) => ({ chain: each.layers, kind: 'chain' as const })),
  ]
}

/** Leaves out records without a result that no record with one stands upon. */
function withoutDeadEnds(records: readonly BuildkitRecord[]): readonly BuildkitRecord[] {
  const needed = new Set<number>()
  const pending = records.flatMap(({ results, chains }, place) =>
    results.length + chains.length > 0 ? [place] : [],
  )
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    if (needed.has(place)) continue
    needed.add(place)
    for (const { record } of records[place]?.inputs.flat() ?? []) pending.push(record)
  }
  const kept = [...needed].sort((a, b) => a - b)
  const places = new Map(kept.map((place, index) => [place, index]))
  return kept.flatMap((place): BuildkitRecord[] => {
    const record = records[place]
    if (record === undefined) return []
    const inputs = record.inputs.map((links) =>
      links.map(({ selector, record: link }) => ({ selector, record: places.get(link) ?? 0 })),
    )
    return [{ ...record, inputs }]
  })
}
