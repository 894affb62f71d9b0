import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import { isTransientStatus } from '@tsbuild/http'
import { formatReference, type ImageReference } from '@tsbuild/oci'
import { isBlobUnknown, isPreconditionFailed, type RegistryClient } from '@tsbuild/registry'
import type { CacheDocuments } from '../index-format/cache-index.ts'
import type { UpdateOutcome } from '../index-format/cache-place.ts'
import type { Change } from '../index-format/change.ts'
import type { CacheIndex } from '../index-format/types.ts'
import { readUnderTag, type UnderTag } from './read-cache.ts'

/** How an update waits. */
export interface UpdateClock {
  /** Unix ms. */
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

/** For {@link updateTag}. */
export interface TagUpdate {
  readonly client: RegistryClient
  readonly reference: ImageReference
  readonly change: Change
  /** Puts the config of a manifest; the registry wants it before the manifest. */
  readonly putConfig: (config: CacheDocuments['config'], signal: AbortSignal) => Promise<void>
  readonly clock: UpdateClock
  readonly status: (line: string) => void
  readonly signal: AbortSignal
}

/** A write that failed may have come through, or not: what the tag means now is asked, and it is not just sent again. */
interface Failures {
  count: number
}

/** So often in one update. */
const maxFailures = 5

/** Rounds of reading and writing. Six builds that end at the same moment took seven at most. */
const maxRounds = 24

/** The digest of nothing that a tag could mean: SHA-256 never gave it. */
const impossible = `sha256:${'0'.repeat(64)}` as Digest

/**
 * Changes what a tag says by reading, merging and writing, until it is seen to say all of it. A registry that takes a manifest only
 * over the one that was read needs no more than that. One that takes any is read again after a pause that is longer than
 * others need between their reading and their writing.
 *
 * @throws {UserError} `ERR_CACHE_TAG` where the tag means something that is no cache
 * @throws {EnvironmentError} `ERR_CACHE_BUSY`; what the client throws
 * @see docs/adr/0039-cache-in-a-registry.md
 */
export async function updateTag(update: TagUpdate): Promise<UpdateOutcome> {
  const { client, reference, signal } = update
  const name = formatReference(reference)
  const seen = new Map<Digest, CacheIndex>()
  const failures: Failures = { count: 0 }
  let writing: WriteMode = 'unknown'
  let seenTimes = 0
  let tookMs = 0
  let outcome: UpdateOutcome = { written: undefined, dropped: 0 }
  for (let round = 0; round < maxRounds; round++) {
    if (round > 0) update.status(`reading ${name} again`)
    const found = await readUnderTag(client, reference, signal, seen)
    if (found.kind === 'cache') seen.set(found.digest, found.index)
    const { documents, dropped, index } = update.change(knownIn(found, reference))
    const { descriptor } = documents.manifest
    if (found.kind === 'cache' && found.digest === descriptor.digest) {
      // Seen twice: a write of somebody else may have been under way the first time.
      if (writing !== 'plain' || ++seenTimes > 1) return outcome
      await update.clock.sleep(pauseMs(update.clock, tookMs, round), signal)
      continue
    }
    seenTimes = 0
    await update.putConfig(documents.config, signal)
    const wrote = await write({ ...update, failures }, documents, found, writing)
    writing = wrote.mode
    tookMs = wrote.tookMs
    if (wrote.done) {
      seen.set(descriptor.digest, index)
      outcome = { written: descriptor, dropped: outcome.dropped + dropped }
      if (writing === 'conditional') return outcome
    }
    await update.clock.sleep(pauseMs(update.clock, wrote.tookMs, round), signal)
  }
  throw new EnvironmentError(
    'ERR_CACHE_BUSY',
    `Cannot write cache "${name}": others wrote it ${maxRounds} times in between`,
    { hints: ['Give builds that run side by side a cache each: `ref=…:cache-$BRANCH`.'] },
  )
}

/** `conditional`: the registry looks at `If-Match`; `plain`: it does not. */
type WriteMode = 'unknown' | 'conditional' | 'plain'

interface Write {
  readonly mode: WriteMode
  /** Whether the manifest was taken. */
  readonly done: boolean
  readonly tookMs: number
}

async function write(
  update: TagUpdate & { readonly failures: Failures },
  { manifest }: CacheDocuments,
  found: UnderTag,
  mode: WriteMode,
): Promise<Write> {
  const { client, reference, signal, clock } = update
  const over = found.kind === 'nothing' ? 'nothing' : found.digest
  const started = clock.now()
  const put = async (onlyOver: Digest | 'nothing' | undefined): Promise<boolean> => {
    try {
      const { mediaType } = manifest.descriptor
      await client.putManifest(reference, manifest.bytes, mediaType, { signal, onlyOver, once: true })
      return true
    } catch (error) {
      if (isPreconditionFailed(error)) return false
      if (isPassing(error) && ++update.failures.count < maxFailures) return false
      throw explained(error, reference, manifest.descriptor.mediaType)
    }
  }
  const result = (next: WriteMode, done: boolean) => ({ mode: next, done, tookMs: clock.now() - started })
  if (mode === 'conditional') return result(mode, await put(over))
  if (!(await isStill(update, over))) return result(mode, false)
  if (mode === 'plain') return result(mode, await put(undefined))
  // One that looks at the condition refuses this, and nothing is written; to any other it is the write.
  const failed = update.failures.count
  if (await put(impossible)) return result('plain', true)
  if (update.failures.count > failed) return result(mode, false)
  return result('conditional', await put(over))
}

/** Asked right before a write that is not conditional: so that there is as little time in between as there can be. */
async function isStill({ client, reference, signal }: TagUpdate, over: Digest | 'nothing'): Promise<boolean> {
  const now = await client.resolveDescriptor(reference, { signal, direct: true })
  return (now?.digest ?? 'nothing') === over
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

const shortestPauseMs = 250
/** Less than a cache may be silent before a build gives it up. */
const longestPauseMs = 1_500

/** Three times what a write took here, more with each round, and never the same for two builds. */
function pauseMs({ random }: UpdateClock, tookMs: number, round: number): number {
  const base = Math.max(shortestPauseMs, 3 * tookMs) * (1 + random() + round * random())
  return Math.min(longestPauseMs, Math.round(base))
}

/** Whether the same may go well another time: the answer did not come, or the registry was not able to. */
function isPassing(error: unknown): boolean {
  if (!isBuildError(error)) return false
  if (error.code === 'ERR_REGISTRY_UNREACHABLE') return true
  const { status } = error.details
  return error.code === 'ERR_REGISTRY_STATUS' && typeof status === 'number' && isTransientStatus(status)
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
