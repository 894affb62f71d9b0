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
  let before: Promise<void> | undefined
  const quietly = (body: () => Promise<void>) => body().catch(options.onFailure)
  return {
    async beforeStep() {
      const disk = machine.store.space.disk()
      const limits = resolveLimits(machine.options.space ?? {}, disk.totalBytes)
      if (disk.freeBytes >= limits.minFreeBytes) return
      const known = decodeAccount(machine.store.space.account())
      if (wasStuck(known, machine.now())) return
      before ??= quietly(() => collect(machine, options, { mustCount: true }))
      await before
    },
    afterBuild: () => quietly(() => collect(machine, options, { mustCount: false })),
  }
}

/** How often what was left is looked at again. */
const rounds = 3

/** How long to wait for somebody who collects already; then it is done by him. */
const patienceMs = 200

async function collect(
  machine: Machine,
  options: CollectorOptions,
  { mustCount }: { readonly mustCount: boolean },
): Promise<void> {
  const { store, now } = machine
  const due = () => {
    const disk = store.space.disk()
    const limits = resolveLimits(machine.options.space ?? {}, disk.totalBytes)
    const known = decodeAccount(store.space.account())
    return { limits, isDue: mustCount || isDue(known, { limits, disk, now: now() }) }
  }
  if (!due().isDue) return
  let isMine = false
  try {
    await store.locks.withLock(
      'prune',
      async () => {
        isMine = true
        const { limits, isDue } = due()
        if (isDue) await countAndCollect(machine, limits, options)
      },
      { signal: AbortSignal.timeout(patienceMs) },
    )
  } catch (error) {
    if (isMine) throw error
  }
}

async function countAndCollect(
  { store, now }: Machine,
  limits: ResolvedLimits,
  { show }: CollectorOptions,
): Promise<void> {
  let inventory = await takeInventory(store, now())
  const isOver = inventory.totalBytes > limits.maxUsedBytes
  const isShort = store.space.disk().freeBytes < limits.minFreeBytes
  const note = ({ totalBytes, freedBytes }: Pick<PruneReport, 'totalBytes' | 'freedBytes'>) => {
    const disk = store.space.disk()
    const diskUsedBytes = disk.totalBytes - disk.freeBytes
    const stuck = (isOver || isShort) && freedBytes === 0
    store.space.setAccount(encodeAccount({ at: now(), totalBytes, diskUsedBytes, stuck }))
  }
  if (!isOver && !isShort) return note({ totalBytes: inventory.totalBytes, freedBytes: 0 })
  const policy: PrunePolicy = {
    reach: 'everything',
    ...(isOver ? { maxUsedBytes: Math.floor(limits.maxUsedBytes * downTo) } : {}),
    ...(isShort ? { minFreeBytes: limits.minFreeBytes * freeUpTo } : {}),
    keepBytes: Math.min(limits.keepBytes, limits.maxUsedBytes * downTo),
  }
  await show(async (say) => {
    const reports: PruneReport[] = []
    // Files with several names count where they were found first, and others write meanwhile: so it is counted again.
    for (let left = rounds; left > 0; left--) {
      const report = await pruneInventory(store, inventory, { policy, now })
      reports.push(report)
      if (report.freedBytes === 0) break
      inventory = await takeInventory(store, now())
      if (inventory.totalBytes <= limits.maxUsedBytes) break
    }
    const removed = reports.flatMap((report) => report.removed)
    const freedBytes = reports.reduce((sum, report) => sum + report.freedBytes, 0)
    note({ totalBytes: inventory.totalBytes, freedBytes })
    say(summary({ removed, freedBytes }, limits, isOver))
  })
}

function summary(
  { removed, freedBytes }: Pick<PruneReport, 'removed' | 'freedBytes'>,
  limits: ResolvedLimits,
  isOver: boolean,
): string {
  const why = isOver
    ? `the store was over its limit of ${bytesText(limits.maxUsedBytes)}`
    : `less than ${bytesText(limits.minFreeBytes)} of the disk were free`
  if (freedBytes === 0) return `nothing could be removed, though ${why}`
  const count = removed.length === 1 ? 'one item' : `${removed.length} items`
  return `freed ${bytesText(freedBytes)}, ${count}: ${why}`
}
