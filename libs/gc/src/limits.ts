import { count, flag, objectOf, parseJson } from '@tsbuild/shape'

/** A size, a share of the file system, or none. */
export type SpaceLimit =
  | { readonly bytes: number }
  | { readonly percent: number }
  /** Never collects because of it. */
  | 'unlimited'

/** The limits of a store; see docs/guide/disk-space.md for the defaults. */
export interface SpaceLimits {
  /** The store never takes more, all of it counted. */
  readonly maxUsed?: SpaceLimit | undefined
  /** Left free for others and for the next build. */
  readonly minFree?: SpaceLimit | undefined
}

/** What limits come to on a file system. */
export interface ResolvedLimits {
  readonly maxUsedBytes: number
  readonly minFreeBytes: number
  /** For the sake of free space no more is collected than down to this: others may have filled the disk. */
  readonly keepBytes: number
}

const gb = 1000 ** 3

/** What a limit comes to on a file system. */
export function limitBytes(limit: Exclude<SpaceLimit, 'unlimited'>, diskBytes: number): number {
  return 'bytes' in limit ? limit.bytes : Math.floor((diskBytes * limit.percent) / 100)
}

/** The defaults are BuildKit's, but for the free space, which it wants to be 20 % and which then collects on every larger disk. */
export function resolveLimits({ maxUsed, minFree }: SpaceLimits, diskBytes: number): ResolvedLimits {
  const share = (percent: number) => limitBytes({ percent }, diskBytes)
  const resolve = (limit: SpaceLimit | undefined, unset: number, unlimited: number) => {
    if (limit === undefined) return unset
    if (limit === 'unlimited') return unlimited
    return limitBytes(limit, diskBytes)
  }
  const maxUsedBytes = resolve(maxUsed, Math.min(share(80), 100 * gb), Number.POSITIVE_INFINITY)
  const minFreeBytes = resolve(minFree, Math.min(share(10), 20 * gb), 0)
  return { maxUsedBytes, minFreeBytes, keepBytes: Math.min(share(10), 10 * gb, maxUsedBytes) }
}

/** What is known of a store's size from when somebody last counted. */
export interface Account {
  /** Unix ms. */
  readonly at: number
  /** Of the store. */
  readonly totalBytes: number
  /** Of the whole file system, at that time. */
  readonly diskUsedBytes: number
  /** It was too large or the disk too full, and there was nothing to remove. */
  readonly stuck: boolean
}

const format = 1
const account = objectOf({ at: count, totalBytes: count, diskUsedBytes: count, stuck: flag })

/** The text of an account. */
export function encodeAccount(value: Account): string {
  return `${JSON.stringify({ format, ...value })}\n`
}

/** @returns undefined for what is no account of this format */
export function decodeAccount(written: string | undefined): Account | undefined {
  const value = written === undefined ? undefined : parseJson(written)
  return isAccount(value) && value.format === format ? value : undefined
}

function isAccount(value: unknown): value is Account & { readonly format: unknown } {
  return account(value)
}

/** Counting looks at every file of the store. */
const leastMs = 60_000
const stuckMs = 10 * 60_000
/** What others deleted may hide for so long what the store has grown by. */
const trustedMs = 24 * 3_600_000

/**
 * Whether a store has to be counted: it may have passed its limit, or the disk is too full. It cannot have grown by more than the whole file
 * system has since somebody counted, nor be larger than all that is used of it.
 */
export function isDue(
  known: Account | undefined,
  {
    limits,
    disk,
    now,
  }: {
    readonly limits: ResolvedLimits
    readonly disk: { readonly totalBytes: number; readonly freeBytes: number }
    readonly now: number
  },
): boolean {
  const ageMs = known === undefined ? Number.POSITIVE_INFINITY : now - known.at
  const waitMs = known?.stuck === true ? stuckMs : leastMs
  // A clock that was set back must not switch it off.
  if (ageMs >= 0 && ageMs < waitMs) return false
  if (disk.freeBytes < limits.minFreeBytes) return true
  return mostBytes(ageMs >= 0 && ageMs < trustedMs ? known : undefined, disk) > limits.maxUsedBytes
}

/** Whether somebody has found out lately that there is nothing to remove. */
export function wasStuck(known: Account | undefined, now: number): boolean {
  return known?.stuck === true && now >= known.at && now - known.at < stuckMs
}

function mostBytes(
  known: Account | undefined,
  disk: { readonly totalBytes: number; readonly freeBytes: number },
): number {
  const used = disk.totalBytes - disk.freeBytes
  if (known === undefined) return used
  return Math.min(used, known.totalBytes + Math.max(0, used - known.diskUsedBytes))
}
