import type { Digest } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import { isTransientStatus, sleepFor } from '@tsbuild/http'
import type { Descriptor, ImageReference } from '@tsbuild/oci'
import { isPreconditionFailed } from './failures.ts'
import type { RegistryClient } from './types.ts'

/** How an update waits. */
export interface UpdateClock {
  /** Unix ms. */
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>
}

/** What a round of an update has found, and what is to come of it. */
export interface TagRound {
  /** What the tag means now. */
  readonly over: Digest | 'nothing'
  /** What it is to mean; undefined where it says everything already. */
  readonly wanted:
    | { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array }
    | undefined
}

/** For {@link updateTag}. */
export interface TagUpdate {
  readonly client: Pick<RegistryClient, 'resolveDescriptor' | 'putManifest'>
  readonly reference: ImageReference
  /** Reads the tag, of the registry itself and of no mirror, and merges. It puts the blobs that the manifest names. */
  readonly round: (round: number) => Promise<TagRound>
  /** Called whenever the registry took a manifest. */
  readonly onWritten: (descriptor: Descriptor) => void
  /** Gives an error of a write the words of who updates. */
  readonly explain?: ((error: unknown, mediaType: string) => unknown) | undefined
  /** Default: this machine's. */
  readonly clock?: UpdateClock | undefined
  readonly signal?: AbortSignal | undefined
}

const machineClock: UpdateClock = { now: Date.now, random: Math.random, sleep: sleepFor }

/** A write that failed may have come through, or not: what the tag means now is asked, and it is not just sent again. */
interface Failures {
  count: number
}

/** So often in one update. */
const maxFailures = 5

/** Rounds of reading and writing. Six builds that ended at the same moment took seven at most. */
export const maxUpdateRounds = 24

/** The digest of nothing that a tag could mean: SHA-256 never gave it. */
const impossible = `sha256:${'0'.repeat(64)}` as Digest

/**
 * Changes what a tag says by reading, merging and writing, until it is seen to say all of it. A registry that takes a manifest only
 * over the one that was read needs no more than that. One that takes any is read again after a pause that is longer than
 * others need between their reading and their writing.
 *
 * @returns `contended` where others wrote the tag in each of {@link maxUpdateRounds}
 * @throws what the client and `round` throw
 * @see docs/adr/0039-cache-in-a-registry.md
 */
export async function updateTag(update: TagUpdate): Promise<'done' | 'contended'> {
  const { clock = machineClock, signal } = update
  const failures: Failures = { count: 0 }
  let writing: WriteMode = 'unknown'
  let seenTimes = 0
  let tookMs = 0
  for (let round = 0; round < maxUpdateRounds; round++) {
    const { over, wanted } = await update.round(round)
    if (wanted === undefined) {
      // Seen twice: a write of somebody else may have been under way the first time.
      if (writing !== 'plain' || ++seenTimes > 1) return 'done'
      await clock.sleep(pauseMs(clock, tookMs, round), signal)
      continue
    }
    seenTimes = 0
    const wrote = await write({ ...update, clock, failures }, wanted, over, writing)
    writing = wrote.mode
    tookMs = wrote.tookMs
    if (wrote.descriptor !== undefined) {
      update.onWritten(wrote.descriptor)
      if (writing === 'conditional') return 'done'
    }
    await clock.sleep(pauseMs(clock, tookMs, round), signal)
  }
  return 'contended'
}

/** `conditional`: the registry looks at `If-Match`; `plain`: it does not. */
type WriteMode = 'unknown' | 'conditional' | 'plain'

interface Write {
  readonly mode: WriteMode
  /** Undefined where the manifest was not taken. */
  readonly descriptor: Descriptor | undefined
  readonly tookMs: number
}

async function write(
  update: TagUpdate & { readonly clock: UpdateClock; readonly failures: Failures },
  { bytes, mediaType }: NonNullable<TagRound['wanted']>,
  over: Digest | 'nothing',
  mode: WriteMode,
): Promise<Write> {
  const { client, reference, signal, clock } = update
  const started = clock.now()
  const put = async (onlyOver: Digest | 'nothing' | undefined): Promise<Descriptor | undefined> => {
    try {
      return await client.putManifest(reference, bytes, mediaType, { signal, onlyOver, once: true })
    } catch (error) {
      if (isPreconditionFailed(error)) return undefined
      if (isPassing(error) && ++update.failures.count < maxFailures) return undefined
      throw update.explain?.(error, mediaType) ?? error
    }
  }
  const result = (next: WriteMode, descriptor: Descriptor | undefined) => ({
    mode: next,
    descriptor,
    tookMs: clock.now() - started,
  })
  if (mode === 'conditional') return result(mode, await put(over))
  if (!(await isStill(update, over))) return result(mode, undefined)
  if (mode === 'plain') return result(mode, await put(undefined))
  // One that looks at the condition refuses this, and nothing is written; to any other it is the write.
  const failed = update.failures.count
  const taken = await put(impossible)
  if (taken !== undefined) return result('plain', taken)
  if (update.failures.count > failed) return result(mode, undefined)
  return result('conditional', await put(over))
}

/** Asked right before a write that is not conditional: so that there is as little time in between as there can be. */
async function isStill({ client, reference, signal }: TagUpdate, over: Digest | 'nothing'): Promise<boolean> {
  const now = await client.resolveDescriptor(reference, { signal, direct: true })
  return (now?.digest ?? 'nothing') === over
}

const shortestPauseMs = 250
/** Less than a cache may be silent before a build gives it up. */
const longestPauseMs = 1_500

/** Three times what a write took here, more with each round, and never the same for two who write. */
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
