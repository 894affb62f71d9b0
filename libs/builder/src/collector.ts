import {
  bytesText,
  decodeAccount,
  encodeAccount,
  isDue,
  type PrunePolicy,
  type PruneReport,
  pruneInventory,
  type ResolvedLimits,
  resolveLimits,
  takeInventory,
  wasStuck,
} from '@tsbuild/gc'
import type { Machine } from './machine.ts'

/** What a build that runs does about space. */
export interface Collector {
  /** Before a step: where the disk is too full, collects first, once in a build however many steps ask. */
  beforeStep(): Promise<void>
  /**
   * After a step that found no room: collects what it can, once in a build.
   * @returns whether it freed anything
   */
  afterFull(): Promise<boolean>
  /** When everything of the build is written: collects if the store is over its limit or the disk too full. */
  afterBuild(): Promise<void>
}

/** How {@link createCollector} says what it does. */
export interface CollectorOptions {
  /** Runs `body` where people see that it runs; `say` gives the line that sums it up. */
  readonly show: (body: (say: (line: string) => void) => Promise<void>) => Promise<void>
  /** A collection that fails is no failure of the build. */
  readonly onFailure: (error: unknown) => void
}

/** Collects down to this share of a limit, so that it is not done again for the next step. */
const downTo = 0.9
/** And until so many times what is to be free is free: the step that is about to run has to find room, and its layer. */
const freeUpTo = 2

/**
 * The automatic collection of one build. Where nothing is to do it costs one `statfs` for each step, and one small file at the end.
 * @see docs/adr/0017-gc.md
 */
export function createCollector(machine: Machine, options: CollectorOptions): Collector {
  let before: Promise<unknown> | undefined
  let full: Promise<number> | undefined
  const quietly = async (why: Why): Promise<number> => {
    try {
      return await collect(machine, options, why)
    } catch (error) {
      options.onFailure(error)
      return 0
    }
  }
  return {
    async beforeStep() {
      if (limitsOf(machine).isShort()) before ??= quietly('short')
      await before
    },
    async afterFull() {
      full ??= quietly('full')
      return (await full) > 0
    },
    afterBuild: async () => void (await quietly('grown')),
  }
}

/**
 * Why to collect: the store may have passed its limit, a step finds less than what has to be free, or it did not find enough. The last is said
 * by a failure, so nothing else is asked.
 */
type Why = 'grown' | 'short' | 'full'

function limitsOf({ store, options }: Machine) {
  const limits = resolveLimits(options.space ?? {}, store.space.disk().totalBytes)
  return { limits, isShort: () => store.space.disk().freeBytes < limits.minFreeBytes }
}

/** How often what was left is looked at again. */
const rounds = 3

/** How long to wait for somebody who collects: a build that is over need not; a step needs the room. */
const patienceMs: Readonly<Record<Why, number>> = { grown: 200, short: 60_000, full: 60_000 }

/** @returns what was freed */
async function collect(machine: Machine, options: CollectorOptions, why: Why): Promise<number> {
  if (!isWanted(machine, why)) return 0
  let isMine = false
  try {
    return await machine.store.locks.withLock(
      'prune',
      async () => {
        isMine = true
        // Whoever had the lock may have done it.
        return isWanted(machine, why) ? await countAndCollect(machine, options, why) : 0
      },
      { signal: AbortSignal.timeout(patienceMs[why]) },
    )
  } catch (error) {
    if (isMine) throw error
    return 0
  }
}

function isWanted(machine: Machine, why: Why): boolean {
  const { store, now } = machine
  const known = decodeAccount(store.space.account())
  const { limits, isShort } = limitsOf(machine)
  switch (why) {
    case 'grown':
      return isDue(known, { limits, disk: store.space.disk(), now: now() })
    case 'short':
      return isShort() && !wasStuck(known, now())
    case 'full':
      // Who set no limit at all wants nothing removed.
      return limits.maxUsedBytes < Number.POSITIVE_INFINITY || limits.minFreeBytes > 0
  }
}

async function countAndCollect(machine: Machine, { show }: CollectorOptions, why: Why): Promise<number> {
  const { store, now } = machine
  const { limits, isShort } = limitsOf(machine)
  let inventory = await takeInventory(store, now())
  const isOver = inventory.totalBytes > limits.maxUsedBytes
  const isNeeded = isOver || why === 'full' || isShort()
  const note = (freedBytes: number) => {
    const { totalBytes, freeBytes } = store.space.disk()
    const counted = { at: now(), totalBytes: inventory.totalBytes, diskUsedBytes: totalBytes - freeBytes }
    store.space.setAccount(encodeAccount({ ...counted, stuck: isNeeded && freedBytes === 0 }))
    return freedBytes
  }
  if (!isNeeded) return note(0)
  const policy = policyFor(limits, { isOver, freeBytes: store.space.disk().freeBytes, why })
  let freed = 0
  await show(async (say) => {
    const removed: PruneReport['removed'][number][] = []
    // Files with several names count where they were found first, and others write meanwhile: so it is counted again.
    for (let left = rounds; left > 0; left--) {
      const report = await pruneInventory(store, inventory, { policy, now })
      removed.push(...report.removed)
      freed += report.freedBytes
      if (report.freedBytes === 0) break
      inventory = await takeInventory(store, now())
      if (inventory.totalBytes <= limits.maxUsedBytes) break
    }
    note(freed)
    say(summary({ removed, freedBytes: freed }, limits, isOver ? 'grown' : why))
  })
  return freed
}

function policyFor(
  limits: ResolvedLimits,
  { isOver, freeBytes, why }: { readonly isOver: boolean; readonly freeBytes: number; readonly why: Why },
): PrunePolicy {
  const wanted = limits.minFreeBytes * freeUpTo
  const reach = 'everything'
  // Nobody knows how much the step wants: more than there was. It fails otherwise, so there is no floor.
  if (why === 'full') return { reach, minFreeBytes: wanted + freeBytes * freeUpTo }
  return {
    reach,
    ...(isOver ? { maxUsedBytes: Math.floor(limits.maxUsedBytes * downTo) } : {}),
    ...(freeBytes < limits.minFreeBytes ? { minFreeBytes: wanted } : {}),
    keepBytes: Math.min(limits.keepBytes, limits.maxUsedBytes * downTo),
  }
}

function summary(
  { removed, freedBytes }: Pick<PruneReport, 'removed' | 'freedBytes'>,
  limits: ResolvedLimits,
  why: Why,
): string {
  const texts: Readonly<Record<Why, string>> = {
    grown: `the store was over its limit of ${bytesText(limits.maxUsedBytes)}`,
    short: `less than ${bytesText(limits.minFreeBytes)} of the disk were free`,
    full: 'a step found no room on the disk',
  }
  if (freedBytes === 0) return `nothing could be removed, though ${texts[why]}`
  const count = removed.length === 1 ? 'one item' : `${removed.length} items`
  return `freed ${bytesText(freedBytes)}, ${count}: ${texts[why]}`
}
