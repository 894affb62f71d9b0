import {
  type Decision,
  diskUsage,
  limitBytes,
  type PrunePolicy,
  parseAge,
  parseFilters,
  prune,
  type Reason,
  type RemovedItem,
  reasonText,
  type UsedItem,
} from '@tsbuild/gc'
import type { Machine } from './machine.ts'
import type {
  DiskUsageReport,
  PruneChoice,
  PrunedItem,
  PruneReason,
  PruneRequest,
  PruneResult,
  SpaceItem,
  SpaceLimit,
} from './space-types.ts'

/** What the store takes on its disk. See `Builder.diskUsage`. */
export async function usage(
  { store, now }: Machine,
  { filters }: { readonly filters?: readonly string[] | undefined } = {},
): Promise<DiskUsageReport> {
  const filter = filters === undefined ? undefined : parseFilters(filters)
  const { items, ...sums } = await diskUsage(store, { now: now(), filter })
  return { ...sums, items: items.map(spaceItem) }
}

/** Removes what can be made again. See `Builder.prune`. */
export async function pruneStore(machine: Machine, request: PruneRequest = {}): Promise<PruneResult> {
  const { dryRun, onRemoved, signal } = request
  const report = await prune(machine.store, {
    policy: policyOf(request, machine.store.space.disk().totalBytes),
    now: machine.now,
    dryRun,
    signal,
    ...(onRemoved === undefined ? {} : { onRemoved: (removed) => onRemoved(prunedItem(removed)) }),
  })
  const { removed, kept, freedBytes, totalBytes } = report
  return { removed: removed.map(prunedItem), kept: kept.map(keptItem), freedBytes, totalBytes }
}

function policyOf(choice: PruneChoice, diskBytes: number): PrunePolicy {
  const { all, filters, olderThan, keep, maxUsed, minFree } = choice
  const bytesOf = (limit: SpaceLimit | undefined) =>
    limit === undefined || limit === 'unlimited' ? undefined : limitBytes(limit, diskBytes)
  return {
    reach: all === true ? 'all' : 'unused',
    filter: filters === undefined ? undefined : parseFilters(filters),
    olderThanMs: olderThan === undefined ? undefined : parseAge('--older-than', olderThan),
    keepBytes: bytesOf(keep),
    maxUsedBytes: bytesOf(maxUsed),
    minFreeBytes: bytesOf(minFree),
  }
}

function spaceItem({ item, bytes, sharedBytes, inUse, reclaimable, reason }: UsedItem): SpaceItem {
  const { id, kind, description, createdMs: createdAt, usedMs: usedAt, rebuildMs } = item
  return {
    ...{ id, kind, description, sizeBytes: bytes, sharedBytes, createdAt, usedAt },
    ...{ rebuildMs: Math.round(rebuildMs), inUse, reclaimable, reason: said(reason) },
  }
}

function prunedItem({ item, freedBytes, reason }: RemovedItem): PrunedItem {
  const { id, kind, description } = item
  return { id, kind, description, freedBytes, reason: said(reason) }
}

function keptItem({ item, reason }: Decision): PruneResult['kept'][number] {
  const { id, kind, description, bytes: sizeBytes } = item
  return { id, kind, description, sizeBytes, reason: said(reason) }
}

function said(reason: Reason): PruneReason {
  return { code: reason.code, text: reasonText(reason) }
}
