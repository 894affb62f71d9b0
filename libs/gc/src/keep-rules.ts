import type { Inventory, Item, PrunePolicy, Reach, Reason } from './types.ts'

/** What the rules of a prune need to know beside the policy. */
export interface RuleFacts {
  /** Unix ms. */
  readonly now: number
  readonly inventory: Inventory
  /** Indexes of items that the store would not give away. */
  readonly inUse: ReadonlySet<number>
  /** For each item, the index of an image that has one of its parts, or of an image that has it as a part; -1 for none. */
  readonly imageOf: ArrayLike<number>
  /** For each part, whether several items name it. */
  readonly isShared: (index: number) => boolean
}

/** A log that somebody is about to read; one that is being written is in use. */
const youngLogMs = 24 * 3_600_000

/**
 * Why a policy leaves an item alone, whatever else goes.
 *
 * @returns undefined for what it may take
 */
export function keptBy(policy: PrunePolicy, facts: RuleFacts, index: number): Reason | undefined {
  const item = facts.inventory.items[index]
  if (item === undefined) return { code: 'enough' }
  const { standing } = item
  if (standing.as === 'fixed') return { code: 'fixed', fixed: standing.code }
  if (facts.inUse.has(index)) return { code: 'in-use' }
  const [unreadable] = facts.inventory.unreadableImages
  if (unreadable !== undefined && hasBlob(item)) return { code: 'image-unreadable', image: unreadable }
  if (policy.filter !== undefined && !policy.filter.matches(item, facts.isShared(index)))
    return { code: 'filter' }
  if (standing.as === 'garbage') return undefined
  return outOfReach(policy, item, facts.imageOf[index], facts.inventory) ?? tooYoung(policy, item, facts.now)
}

/** Of a policy, with what its filter says. */
function keptForMs({ olderThanMs, filter }: PrunePolicy): number {
  return Math.max(olderThanMs ?? 0, filter?.olderThanMs ?? 0)
}

function hasBlob({ entries }: Item): boolean {
  return entries.some(({ kind }) => kind === 'blob')
}

const widerKinds: Readonly<Record<Reach, readonly Item['kind'][]>> = {
  unused: ['internal', 'failure', 'history'],
  all: ['history'],
  everything: [],
}

function outOfReach(
  policy: PrunePolicy,
  { kind }: Item,
  image: number | undefined,
  inventory: Inventory,
): Reason | undefined {
  if (policy.filter?.kinds.includes(kind)) return undefined
  const reach = policy.reach ?? 'unused'
  if (widerKinds[reach].includes(kind)) return { code: 'reach', kind }
  const named = image === undefined ? undefined : inventory.items[image]
  if (reach === 'unused' && named !== undefined) return { code: 'image-step', image: named.description }
  return undefined
}

function tooYoung(policy: PrunePolicy, item: Item, now: number): Reason | undefined {
  const asked = keptForMs(policy)
  const olderThanMs = item.kind === 'history' ? Math.max(asked, youngLogMs) : asked
  const unusedMs = Math.max(0, now - item.usedMs)
  return unusedMs < olderThanMs ? { code: 'recent', unusedMs, olderThanMs } : undefined
}
