import { Readable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import { formatReference, type ImageReference, parseReference } from '@tsbuild/oci'
import { isBlobUnknown, type RegistryClient } from '@tsbuild/registry'
import type { CachePlace } from '../index-format/cache-place.ts'
import { createIndexImporter } from '../index-format/importer.ts'
import type { CacheImporter, ExportableBlob, OpenTools } from '../types.ts'
import { isNotFound, readCache, readUnderTag, type UnderTag } from './read-cache.ts'
import { type CacheTagUpdate, updateCacheTag } from './update-cache-tag.ts'

/** Imports from a tag of a registry: a cache, or an image with one in it. */
export function registryImporter(
  client: () => RegistryClient,
  ref: string,
  buildkit?: OpenTools['buildkit'],
): CacheImporter {
  const reference = parseReference(ref)
  const name = formatReference(reference)
  return createIndexImporter({
    name,
    buildkit,
    read: (signal) => readCache(client(), reference, signal),
    openBlob: async (blob, offset, signal) => {
      try {
        return await client().fetchBlob(reference, blob, { offset, signal })
      } catch (error) {
        if (isNotFound(error)) return undefined
        throw error
      }
    },
  })
}

/** A tag of a registry that a cache is exported to. */
export function registryPlace(
  client: () => RegistryClient,
  ref: string,
  { clock, status }: Pick<CacheTagUpdate, 'clock' | 'status'>,
): CachePlace {
  const reference = parseReference(ref)
  const name = formatReference(reference)
  const put: CachePlace['put'] = async ({ layer, open, places }, signal) => {
    const options = { mountFrom: mountsOf(reference, places), signal }
    const outcome = await client().uploadBlob(reference, layer, open, options)
    return outcome === 'uploaded' ? 'sent' : outcome
  }
  const putConfig: CacheTagUpdate['putConfig'] = async ({ descriptor, bytes }, signal) => {
    const open = (offset: number) => Readable.from([bytes.subarray(offset)])
    await client().uploadBlob(reference, descriptor, open, { signal })
  }
  const used = new Map<Digest, ExportableBlob>()
  let known: Promise<ReadonlySet<Digest>> | undefined
  return {
    name,
    put: async (blob, signal) => {
      used.set(blob.layer.digest, blob)
      known ??= namedIn(readUnderTag(client(), reference, signal))
      return (await known).has(blob.layer.digest) ? 'exists' : await put(blob, signal)
    },
    update: async (change, signal) => {
      const update = { client: client(), reference, change, putConfig, clock, status, signal }
      try {
        return await updateCacheTag(update)
      } catch (error) {
        if (!isBlobUnknown(error)) throw error
        // Its garbage was collected after it had said that a blob is there: what is missing by now is sent, once.
        for (const blob of used.values()) await put(blob, signal)
        return await updateCacheTag(update)
      }
    },
  }
}

/** What a cache names is there for as long as it is: nobody has to be asked for each. */
async function namedIn(reading: Promise<UnderTag>): Promise<ReadonlySet<Digest>> {
  const found = await reading
  return new Set(found.kind === 'cache' ? found.layers.map(({ digest }) => digest) : [])
}

/** Repositories of the same registry. */
function mountsOf(reference: ImageReference, places: readonly string[]): readonly string[] {
  const others = places.flatMap((place) => {
    try {
      const { registry, repository } = parseReference(place)
      return registry === reference.registry && repository !== reference.repository ? [repository] : []
    } catch {
      // A place that is no registry: a directory, a server.
      return []
    }
  })
  return [...new Set(others)]
}
