import { readCacheManifest } from '@tsbuild/buildkit-cache'
import type { Digest } from '@tsbuild/digest'
import { type BuildError, isBuildError, UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatReference,
  type ImageReference,
  isAttestation,
  type ManifestOrIndex,
  maxDocumentBytes,
  parseManifestOrIndex,
} from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import { parseCacheIndex } from '../index-format/cache-index.ts'
import { mergeIndexes } from '../index-format/merge.ts'
import { type CacheIndex, emptyIndex } from '../index-format/types.ts'
import { parseInlineIndex } from '../inline/parse-inline.ts'

/** What is under a tag. */
export type UnderTag =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'cache'
      /** Of the manifest. */
      readonly digest: Digest
      readonly index: CacheIndex
      readonly layers: readonly Descriptor[]
    }
  /** A cache whose index cannot be read. */
  | { readonly kind: 'broken'; readonly digest: Digest; readonly error: BuildError }
  | { readonly kind: 'other'; readonly digest: Digest; readonly document: ManifestOrIndex }

/** Images of one index that are looked into for an inline cache. */
const maxPlatforms = 16

/**
 * Reads what is under a reference: a cache in two requests.
 *
 * @param known documents that were read before, by their digest
 * @throws what the client throws
 */
export async function readUnderTag(
  client: RegistryClient,
  reference: ImageReference,
  signal: AbortSignal,
  known: ReadonlyMap<Digest, CacheIndex> = new Map(),
): Promise<UnderTag> {
  const resolved = await client
    .resolve(reference, { signal, direct: true })
    .catch((error: unknown) => (isNotFound(error) ? undefined : Promise.reject(error)))
  if (resolved === undefined) return { kind: 'nothing' }
  const { digest, mediaType } = resolved.descriptor
  const document = parseManifestOrIndex(resolved.bytes, mediaType)
  const cache = readCacheManifest(document)
  if (cache === undefined) return { kind: 'other', digest, document }
  const { config, layers } = cache
  try {
    const index = known.get(digest) ?? (await readIndex(client, reference, config, layers, signal))
    return { kind: 'cache', digest, index, layers }
  } catch (error) {
    if (isBuildError(error) && brokenCodes.has(error.code)) return { kind: 'broken', digest, error }
    throw error
  }
}

/** An index that is not there, or is something else: it will not be another one the next time. */
const brokenCodes: ReadonlySet<string> = new Set([
  'ERR_CACHE_INVALID',
  'ERR_IMAGE_NOT_FOUND',
  'ERR_DIGEST_MISMATCH',
  'ERR_SIZE_MISMATCH',
])

async function readIndex(
  client: RegistryClient,
  reference: ImageReference,
  config: Descriptor,
  layers: readonly Descriptor[],
  signal: AbortSignal,
): Promise<CacheIndex> {
  const bytes = await readBlob(client, reference, config, signal)
  return asCache(reference, () => parseCacheIndex(bytes, layers))
}

/**
 * The cache of a reference: one that is nothing else, or what an image carries, of each of its platforms.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND` for nothing; `ERR_CACHE_INVALID` for an image without a cache, or what is malformed
 */
export async function readCache(
  client: RegistryClient,
  reference: ImageReference,
  signal: AbortSignal,
): Promise<CacheIndex> {
  const found = await readUnderTag(client, reference, signal)
  if (found.kind === 'cache') return found.index
  if (found.kind === 'broken') throw found.error
  const name = formatReference(reference)
  if (found.kind === 'nothing')
    throw new UserError('ERR_IMAGE_NOT_FOUND', `Cannot read cache "${name}": the registry does not have it`)
  const indexes = (await inlineIndexes(client, reference, found.document, signal)).filter(
    (index) => index !== undefined,
  )
  if (indexes.length > 0) return indexes.reduce(mergeIndexes, emptyIndex)
  throw new UserError(
    'ERR_CACHE_INVALID',
    `Cannot read cache "${name}": it is an image without a cache in it`,
    {
      hints: ['An image gets one with `--cache-to type=inline`.'],
    },
  )
}

async function inlineIndexes(
  client: RegistryClient,
  reference: ImageReference,
  document: ManifestOrIndex,
  signal: AbortSignal,
): Promise<readonly (CacheIndex | undefined)[]> {
  if (document.type === 'manifest') return [await inlineIndex(client, reference, document, signal)]
  const images = document.index.manifests.filter((entry) => !isAttestation(entry)).slice(0, maxPlatforms)
  return await Promise.all(
    images.map(async (image) => {
      const place = { ...reference, tag: undefined, digest: image.digest }
      const { bytes } = await client.resolve(place, { signal })
      const parsed = asCache(reference, () => parseManifestOrIndex(bytes, image.mediaType))
      return parsed.type === 'index' ? undefined : await inlineIndex(client, place, parsed, signal)
    }),
  )
}

async function inlineIndex(
  client: RegistryClient,
  reference: ImageReference,
  { manifest }: Extract<ManifestOrIndex, { type: 'manifest' }>,
  signal: AbortSignal,
): Promise<CacheIndex | undefined> {
  // Of what is no image: a chart, a signature.
  if (!/image|docker/.test(manifest.config.mediaType)) return undefined
  const bytes = await readBlob(client, reference, manifest.config, signal)
  return asCache(reference, () => parseInlineIndex(bytes, manifest))
}

/** A small blob, verified. @throws {UserError} `ERR_CACHE_INVALID` for one of more than 4 MiB */
async function readBlob(
  client: RegistryClient,
  reference: ImageReference,
  descriptor: Descriptor,
  signal: AbortSignal,
): Promise<Buffer> {
  if (descriptor.size > maxDocumentBytes) {
    const name = formatReference(reference)
    throw new UserError(
      'ERR_CACHE_INVALID',
      `Cannot read cache "${name}": its index has ${descriptor.size} bytes, expected ${maxDocumentBytes} at most`,
    )
  }
  const bytes = Buffer.alloc(descriptor.size)
  const write = async (chunk: Uint8Array, position: number) => void bytes.set(chunk, position)
  await client.downloadBlob(reference, descriptor, { write }, { signal })
  return bytes
}

/** Whatever is wrong with a document is wrong with the cache. */
function asCache<T>(reference: ImageReference, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!isBuildError(cause)) throw cause
    const message = `Cannot read cache "${formatReference(reference)}": ${cause.message}`
    throw new UserError('ERR_CACHE_INVALID', message, { cause })
  }
}

/** Whether a registry said that it does not have something. */
export function isNotFound(error: unknown): boolean {
  return isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND'
}
