import type { Store } from '@tsbuild/store'
import { type InventoryStore, takeInventory } from './inventory.ts'
import { isSharedItem, planPrune } from './plan.ts'
import { itemsInUse } from './prune.ts'
import {
  type Decision,
  type Inventory,
  type Item,
  type ItemFilter,
  type ItemKind,
  itemKinds,
} from './types.ts'

/** What a store takes on its disk. */
export interface DiskUsage {
  /** What matches, the largest first. Parts are within what names them. */
  readonly items: readonly UsedItem[]
  /** Of what matches; each file counts once, so the sums are those of the disk. */
  readonly kinds: readonly KindUsage[]
  readonly totalBytes: number
  readonly sharedBytes: number
  /** What `prune --all` would free. */
  readonly reclaimableBytes: number
  /** Of the file system. */
  readonly disk: { readonly totalBytes: number; readonly freeBytes: number }
}

/** One line of {@link DiskUsage}. */
export interface UsedItem {
  readonly item: Item
  /** With its parts. */
  readonly bytes: number
  /** Of these, what others need too. */
  readonly sharedBytes: number
  readonly inUse: boolean
  readonly reclaimable: boolean
  /** Why `prune --all` would remove it or not. */
  readonly reason: Decision['reason']
}

/** See {@link DiskUsage.kinds}. */
export interface KindUsage {
  readonly kind: ItemKind
  readonly count: number
  readonly bytes: number
  readonly sharedBytes: number
  readonly reclaimableBytes: number
}

/** Says what a store takes. @throws {EnvironmentError} as {@link takeInventory} */
export async function diskUsage(
  store: InventoryStore & Pick<Store, 'space'>,
  options: { readonly now: number; readonly filter?: ItemFilter | undefined },
): Promise<DiskUsage> {
  const inventory = await takeInventory(store, options.now)
  return usageOf(inventory, { ...options, inUse: itemsInUse(store, inventory), disk: store.space.disk() })
}

/** As {@link diskUsage}, of an inventory. */
function usageOf(
  inventory: Inventory,
  {
    now,
    filter,
    inUse,
    disk,
  }: {
    readonly now: number
    readonly filter?: ItemFilter | undefined
    readonly inUse: ReadonlySet<number>
    readonly disk: DiskUsage['disk']
  },
): DiskUsage {
  const { items } = inventory
  const { decisions } = planPrune(inventory, { reach: 'all' }, { now, freeBytes: disk.freeBytes, inUse })
  const needers = needersOf(items)
  const counts = needers.map(({ length }) => length)
  const lines: UsedItem[] = []
  const counted = new Set<number>()
  for (const [index, item] of items.entries()) {
    const decision = decisions[index]
    const isPartOfOthers = item.standing.as === 'part' && (needers[index]?.length ?? 0) > 0
    if (decision === undefined || isPartOfOthers) continue
    const isShared = isSharedItem(items, counts, index)
    if (filter?.matches(item, isShared) === false) continue
    if (filter?.olderThanMs !== undefined && now - item.usedMs < filter.olderThanMs) continue
    for (const one of [index, ...item.parts]) counted.add(one)
    const shared = item.parts.filter((part) => (needers[part]?.length ?? 0) > 1)
    lines.push({
      item,
      bytes: item.bytes + bytesOf(items, item.parts),
      sharedBytes: bytesOf(items, shared),
      inUse: inUse.has(index),
      reclaimable: !decision.keep,
      reason: decision.reason,
    })
  }
  const kinds = kindsOf(items, { counted, needers, decisions, lines })
  const sum = (of: (kind: KindUsage) => number) => kinds.reduce((total, kind) => total + of(kind), 0)
  return {
    items: lines.toSorted((a, b) => b.bytes - a.bytes),
    kinds,
    totalBytes: sum(({ bytes }) => bytes),
    sharedBytes: sum(({ sharedBytes }) => sharedBytes),
    reclaimableBytes: sum(({ reclaimableBytes }) => reclaimableBytes),
    disk,
  }
}

function kindsOf(
  items: readonly Item[],
  {
    counted,
    needers,
    decisions,
    lines,
  }: {
    readonly counted: ReadonlySet<number>
    readonly needers: readonly (readonly number[])[]
    readonly decisions: readonly Decision[]
    readonly lines: readonly UsedItem[]
  },
): readonly KindUsage[] {
  const sums = new Map<ItemKind, { bytes: number; sharedBytes: number; reclaimableBytes: number }>()
  for (const index of counted) {
    const item = items[index]
    const [needer] = needers[index] ?? []
    if (item === undefined) continue
    // Layers of a step that no image has are the step's.
    const owner = item.standing.as === 'part' && item.kind === 'base' ? items[needer ?? -1] : item
    const kind = owner?.kind ?? item.kind
    const sum = sums.get(kind) ?? { bytes: 0, sharedBytes: 0, reclaimableBytes: 0 }
    sums.set(kind, sum)
    sum.bytes += item.bytes
    if ((needers[index]?.length ?? 0) > 1) sum.sharedBytes += item.bytes
    if (decisions[index]?.keep === false) sum.reclaimableBytes += item.bytes
  }
  return itemKinds.flatMap((kind) => {
    const sum = sums.get(kind)
    const count = lines.filter(({ item }) => item.kind === kind).length
    return sum === undefined ? [] : [{ kind, count, ...sum }]
  })
}

/** For each part the items that name it. */
function needersOf(items: readonly Item[]): readonly (readonly number[])[] {
  const needers: number[][] = items.map(() => [])
  for (const [index, { parts }] of items.entries()) for (const part of parts) needers[part]?.push(index)
  return needers
}

function bytesOf(items: readonly Item[], indexes: readonly number[]): number {
  return indexes.reduce((sum, index) => sum + (items[index]?.bytes ?? 0), 0)
}
