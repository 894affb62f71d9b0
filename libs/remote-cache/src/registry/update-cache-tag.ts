import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import { formatReference, type ImageReference } from '@tsbuild/oci'
import {
  isBlobUnknown,
  maxUpdateRounds,
  type RegistryClient,
  type UpdateClock,
  updateTag,
} from '@tsbuild/registry'
import type { CacheDocuments } from '../index-format/cache-index.ts'
import type { UpdateOutcome } from '../index-format/cache-place.ts'
import type { Change } from '../index-format/change.ts'
import type { CacheIndex } from '../index-format/types.ts'
import { readUnderTag, type UnderTag } from './read-cache.ts'

/** For {@link updateCacheTag}. */
export interface CacheTagUpdate {
  readonly client: RegistryClient
  readonly reference: ImageReference
  readonly change: Change
  /** Puts the config of a manifest; the registry wants it before the manifest. */
  readonly putConfig: (config: CacheDocuments['config'], signal: AbortSignal) => Promise<void>
  readonly clock: UpdateClock
  readonly status: (line: string) => void
  readonly signal: AbortSignal
}

/**
 * Changes what a tag says about steps, until it is seen to say all of it.
 *
 * @throws {UserError} `ERR_CACHE_TAG` where the tag means something that is no cache
 * @throws {EnvironmentError} `ERR_CACHE_BUSY`; what the client throws
 * @see docs/adr/0039-cache-in-a-registry.md
 */
export async function updateCacheTag(update: CacheTagUpdate): Promise<UpdateOutcome> {
  const { client, reference, signal, clock } = update
  const name = formatReference(reference)
  const seen = new Map<Digest, CacheIndex>()
  let dropping = 0
  let outcome: UpdateOutcome = { written: undefined, dropped: 0 }
  const ended = await updateTag({
    ...{ client, reference, clock, signal },
    round: async (round) => {
      if (round > 0) update.status(`reading ${name} again`)
      const found = await readUnderTag(client, reference, signal, seen)
      if (found.kind === 'cache') seen.set(found.digest, found.index)
      const { documents, dropped, index } = update.change(knownIn(found, reference))
      const { descriptor, bytes } = documents.manifest
      const over = found.kind === 'nothing' ? 'nothing' : found.digest
      if (found.kind === 'cache' && over === descriptor.digest) return { over, wanted: undefined }
      await update.putConfig(documents.config, signal)
      dropping = dropped
      seen.set(descriptor.digest, index)
      return { over, wanted: { ...descriptor, bytes } }
    },
    onWritten: (written) => {
      outcome = { written, dropped: outcome.dropped + dropping }
    },
    explain: (error, mediaType) => explained(error, reference, mediaType),
  })
  if (ended === 'done') return outcome
  throw new EnvironmentError(
    'ERR_CACHE_BUSY',
    `Cannot write cache "${name}": others wrote it ${maxUpdateRounds} times in between`,
    { hints: ['Give builds that run side by side a cache each: `ref=…:cache-$BRANCH`.'] },
  )
}

function knownIn(found: UnderTag, reference: ImageReference): CacheIndex | undefined {
  // Nobody can read a broken one: it is written over.
  if (found.kind === 'nothing' || found.kind === 'broken') return undefined
  if (found.kind === 'cache') return found.index
  throw new UserError(
    'ERR_CACHE_TAG',
    `Cannot write cache "${formatReference(reference)}": an image, or something else that is no cache, has this name`,
    { hints: ['Give the cache a tag of its own: `ref=…:cache`. A cache within an image is `type=inline`.'] },
  )
}

/** Some registries take no manifest whose config or layers are of types that they do not know. */
function explained(error: unknown, reference: ImageReference, mediaType: string): unknown {
  if (!isBuildError(error) || error.code !== 'ERR_REGISTRY_STATUS' || isBlobUnknown(error)) return error
  const { status } = error.details
  if (status !== 400 && status !== 415 && status !== 422) return error
  const other = mediaType.includes('index') || mediaType.includes('list') ? 'true' : 'false'
  return new EnvironmentError(
    'ERR_REGISTRY_STATUS',
    `Cannot write cache "${formatReference(reference)}": the registry refuses the manifest of a cache in this form`,
    {
      cause: error,
      details: error.details,
      hints: [`Try image-manifest=${other}, or compression=gzip,force-compression=true.`],
    },
  )
}
