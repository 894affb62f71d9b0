import { join } from 'node:path'
import { Readable } from 'node:stream'
import { readCacheManifest } from '@tsbuild/buildkit-cache'
import type { Digest } from '@tsbuild/digest'
import { isBuildError, UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  type Index,
  isIndexType,
  isManifestType,
  mediaTypes,
  parseManifestOrIndex,
} from '@tsbuild/oci'
import { FileLocks } from '@tsbuild/store'
import { cacheName, usualTag } from '../cache-name.ts'
import { type CacheDocuments, parseCacheIndex } from '../index-format/cache-index.ts'
import type { CachePlace } from '../index-format/cache-place.ts'
import { createIndexImporter } from '../index-format/importer.ts'
import type { CacheIndex } from '../index-format/types.ts'
import type { CacheImporter, ExportableBlob, OpenTools } from '../types.ts'
import { LayoutDirectory } from './layout-directory.ts'

const tagAnnotation = 'org.opencontainers.image.ref.name'

/** What was put into a directory and is named by nothing after so long is of a build that was killed. */
const abandonedMs = 60 * 60 * 1000

/** Imports from a directory that BuildKit or tsbuild exported to. */
export function localImporter(
  from: {
    readonly src: string
    readonly tag?: string | undefined
    readonly digest?: Digest | undefined
  },
  buildkit?: OpenTools['buildkit'],
): CacheImporter {
  const { src, tag = usualTag, digest } = from
  const layout = new LayoutDirectory(src)
  const name = cacheName({ type: 'local', ...from })
  return createIndexImporter({
    name,
    buildkit,
    read: async () => {
      const listed = await layout.index()
      const entry = listed?.manifests.find((one) =>
        digest === undefined ? tagOf(one) === tag : one.digest === digest,
      )
      if (entry === undefined)
        throw new UserError('ERR_IMAGE_NOT_FOUND', `Cannot read cache "${name}": it is not there`)
      return await readCacheOf(layout, entry, name)
    },
    openBlob: (blob, offset) => layout.stream(blob.digest, offset),
  })
}

/** For {@link localPlace}. */
export interface LocalPlaceOptions {
  /** Absolute; made if missing. */
  readonly dest: string
  readonly tag?: string | undefined
  /** Drops what the export does not name. */
  readonly reset?: boolean | undefined
  /** Unix ms. */
  readonly now: () => number
}

/**
 * A tag of a directory that a cache is exported to. Blobs get their names when they are durable, and the list of the layout is
 * replaced last, under a lock that builds of all stores share: one that is killed leaves what was there before.
 */
export function localPlace({ dest, tag = usualTag, reset = false, now }: LocalPlaceOptions): CachePlace {
  const layout = new LayoutDirectory(dest)
  const name = cacheName({ type: 'local', dest, tag })
  const used = new Map<Digest, ExportableBlob>()
  let created: Promise<void> | undefined
  const create = () => {
    created ??= layout.create()
    return created
  }
  const put = async ({ layer, open }: ExportableBlob, signal: AbortSignal) => {
    if (await layout.has(layer)) return 'exists'
    await layout.put(layer, open(0), signal)
    return 'sent'
  }
  const update: CachePlace['update'] = async (change, signal) => {
    const listed = await layout.index()
    const entry = listed?.manifests.find((one) => tagOf(one) === tag)
    const known = entry === undefined || reset ? undefined : await knownOf(layout, entry, name)
    const { documents, dropped } = change(known)
    // A build with `reset` may have removed what this one found there.
    for (const { digest } of documents.layers) {
      const blob = used.get(digest)
      if (blob !== undefined) await put(blob, signal)
    }
    const isSame = entry?.digest === documents.manifest.descriptor.digest
    if (!isSame) await writeDocuments(layout, documents, listed, tag, signal)
    await removeUnnamed(layout, listed, reset ? now() - abandonedMs : undefined)
    return { written: isSame ? undefined : documents.manifest.descriptor, dropped }
  }
  return {
    name,
    put: async (blob, signal) => {
      await create()
      used.set(blob.layer.digest, blob)
      return await put(blob, signal)
    },
    update: async (change, signal) => {
      await create()
      const locks = new FileLocks(join(dest, '.tsbuild.lock'))
      return await locks.withLock('index', () => update(change, signal), { signal })
    },
  }
}

const tagOf = ({ annotations }: Descriptor) => annotations?.[tagAnnotation]

async function writeDocuments(
  layout: LayoutDirectory,
  { manifest, config }: CacheDocuments,
  listed: Index | undefined,
  tag: string,
  signal: AbortSignal,
): Promise<void> {
  for (const { descriptor, bytes } of [config, manifest])
    if (!(await layout.has(descriptor))) await layout.put(descriptor, Readable.from([bytes]), signal)
  const entry = { ...manifest.descriptor, annotations: { [tagAnnotation]: tag } }
  const others = (listed?.manifests ?? []).filter((one) => tagOf(one) !== tag)
  await layout.replaceIndex({
    mediaType: mediaTypes.ociIndex,
    annotations: {},
    ...listed,
    manifests: [...others, entry],
  })
}

/** What an entry of the list says. What it names and has no more is left out: its steps run again. */
async function readCacheOf(layout: LayoutDirectory, entry: Descriptor, name: string): Promise<CacheIndex> {
  try {
    const cache = readCacheManifest(parseManifestOrIndex(await layout.document(entry), entry.mediaType))
    if (cache === undefined)
      throw new UserError('ERR_CACHE_INVALID', `Cannot read cache "${name}": it is an image, and no cache`)
    const bytes = await layout.document(cache.config)
    const there = await Promise.all(cache.layers.map((layer) => layout.has(layer)))
    return parseCacheIndex(
      bytes,
      cache.layers.filter((_, place) => there[place]),
    )
  } catch (cause) {
    if (!isBuildError(cause) || cause.code === 'ERR_CACHE_INVALID') throw cause
    throw new UserError('ERR_CACHE_INVALID', `Cannot read cache "${name}": ${cause.message}`, { cause })
  }
}

/** A cache that cannot be read is written over; an image is not. */
async function knownOf(
  layout: LayoutDirectory,
  entry: Descriptor,
  name: string,
): Promise<CacheIndex | undefined> {
  if (!(await isCache(layout, entry))) {
    throw new UserError(
      'ERR_CACHE_TAG',
      `Cannot write cache "${name}": the layout has an image of this tag, or something else that is no cache`,
      { hints: ['Give the cache a tag of its own: `tag=cache`.'] },
    )
  }
  try {
    return await readCacheOf(layout, entry, name)
  } catch (error) {
    if (isBuildError(error) && error.code === 'ERR_CACHE_INVALID') return undefined
    throw error
  }
}

async function isCache(layout: LayoutDirectory, entry: Descriptor): Promise<boolean> {
  try {
    return (
      readCacheManifest(parseManifestOrIndex(await layout.document(entry), entry.mediaType)) !== undefined
    )
  } catch (error) {
    // A manifest that is gone or damaged is nobody's image any more.
    if (isBuildError(error)) return true
    throw error
  }
}

/**
 * Removes what the list of before named and the one of now does not.
 * @param abandonedBefore Unix ms; also what nobody names and nobody touched since then
 */
async function removeUnnamed(
  layout: LayoutDirectory,
  before: Index | undefined,
  abandonedBefore: number | undefined,
): Promise<void> {
  const after = await layout.index()
  const named = await namedBy(layout, after)
  // What cannot be read names something that nobody knows: then nothing is removed.
  if (named === undefined) return
  const abandoned = abandonedBefore === undefined ? [] : await layout.untouchedSince(abandonedBefore)
  for (const digest of new Set([...((await namedBy(layout, before)) ?? []), ...abandoned]))
    if (!named.has(digest)) await layout.remove(digest)
}

/** Every blob that entries lead to; undefined where one of them cannot be read. */
async function namedBy(
  layout: LayoutDirectory,
  index: Index | undefined,
): Promise<ReadonlySet<Digest> | undefined> {
  const named = new Set<Digest>()
  const pending = [...(index?.manifests ?? [])]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (named.has(next.digest)) continue
    named.add(next.digest)
    if (!isManifestType(next.mediaType) && !isIndexType(next.mediaType)) continue
    try {
      const parsed = parseManifestOrIndex(await layout.document(next), next.mediaType)
      if (parsed.type === 'index') pending.push(...parsed.index.manifests)
      else pending.push(parsed.manifest.config, ...parsed.manifest.layers)
    } catch (error) {
      if (isBuildError(error)) return undefined
      throw error
    }
  }
  return named
}
