import { Heap } from './heap.ts'
import { imagesOfItems } from './images-of-items.ts'
import { keptBy, type RuleFacts } from './keep-rules.ts'
import type { Decision, Inventory, Item, Plan, PrunePolicy, Reason } from './types.ts'
import { worthOf } from './value.ts'

/** What a plan is made from beside the inventory and the policy. */
export interface PlanFacts {
  /** Unix ms. */
  readonly now: number
  /** Of the file system. */
  readonly freeBytes: number
  /** Indexes of items that are deleted already. */
  readonly gone?: ReadonlySet<number> | undefined
  /** Indexes of items that the store would not give away. */
  readonly inUse?: ReadonlySet<number> | undefined
}

const undecided = 0
const kept = 1
const removed = 2

/**
 * Decides what a prune removes: garbage first, then, as long as more has to go, the least valuable item that nothing stands upon any more.
 * A part goes with the last item that names it. Pure; its work grows as `n log n` with the items.
 *
 * @see docs/adr/0017-gc.md
 */
export function planPrune(inventory: Inventory, policy: PrunePolicy, facts: PlanFacts): Plan {
  const planning = new Planning(inventory, policy, facts)
  planning.removeGarbage()
  planning.removeByValue()
  return planning.plan()
}

/** What may be left of a store, in bytes; undefined where no limit says. As BuildKit's: a floor wins over a ceiling. */
export function targetBytes(policy: PrunePolicy, totalBytes: number, freeBytes: number): number | undefined {
  const { maxUsedBytes, minFreeBytes, keepBytes } = policy
  if (maxUsedBytes === undefined && minFreeBytes === undefined && keepBytes === undefined) return undefined
  const missing = Math.max(0, (minFreeBytes ?? 0) - freeBytes)
  const underCeiling = maxUsedBytes ?? (minFreeBytes === undefined ? 0 : totalBytes)
  return Math.max(
    keepBytes ?? 0,
    Math.min(underCeiling, missing > 0 ? totalBytes - missing : underCeiling),
    0,
  )
}

class Planning {
  readonly #inventory: Inventory
  readonly #items: readonly Item[]
  readonly #policy: PrunePolicy
  readonly #facts: PlanFacts
  readonly #state: Uint8Array
  readonly #reasons: (Reason | undefined)[] = []
  /** How many items that are left stand upon an item. */
  readonly #above: Uint32Array
  /** How many items that are left name a part. */
  readonly #needers: Uint32Array
  readonly #gone: ReadonlySet<number>
  readonly #order: number[] = []
  #leftBytes: number
  readonly #startBytes: number
  readonly #target: number | undefined

  constructor(inventory: Inventory, policy: PrunePolicy, facts: PlanFacts) {
    const { items } = inventory
    this.#inventory = inventory
    this.#items = items
    this.#policy = policy
    this.#facts = facts
    this.#gone = facts.gone ?? new Set()
    this.#state = new Uint8Array(items.length)
    this.#above = new Uint32Array(items.length)
    this.#needers = new Uint32Array(items.length)
    let goneBytes = 0
    for (const [index, item] of items.entries()) {
      if (this.#gone.has(index)) {
        goneBytes += item.bytes
        this.#state[index] = removed
      } else {
        for (const below of item.below) add(this.#above, below, 1)
        for (const part of item.parts) add(this.#needers, part, 1)
      }
    }
    this.#startBytes = inventory.totalBytes - goneBytes
    this.#leftBytes = this.#startBytes
    this.#target = targetBytes(policy, this.#startBytes, facts.freeBytes)
    this.#applyRules()
  }

  removeGarbage(): void {
    for (const [index, { standing }] of this.#items.entries()) {
      if (standing.as !== 'garbage' || this.#state[index] !== undecided) continue
      this.#remove(index, { code: 'garbage', garbage: standing.code })
    }
  }

  removeByValue(): void {
    const values = this.#values()
    const valueAt = (index: number) => values[index] ?? 0
    const isFree = (index: number) => this.#state[index] === undecided && this.#above[index] === 0
    const heap = new Heap<number>((a, b) => valueAt(a) < valueAt(b) || (valueAt(a) === valueAt(b) && a < b))
    for (const index of this.#items.keys()) {
      if (this.#isCache(index) && isFree(index)) heap.push(index)
    }
    for (let index = heap.pop(); index !== undefined; index = heap.pop()) {
      if (this.#isEnough()) return
      this.#remove(index, this.#reasonToRemove(index))
      for (const below of this.#items[index]?.below ?? []) {
        if (this.#isCache(below) && isFree(below)) heap.push(below)
      }
    }
    this.#removeCircles()
  }

  plan(): Plan {
    const blockers = this.#blockers()
    const decisions: Decision[] = []
    for (const [index, item] of this.#items.entries()) {
      if (this.#gone.has(index)) continue
      const reason = this.#reasons[index] ?? this.#reasonToStay(index, blockers)
      decisions.push({ item, keep: this.#state[index] !== removed, reason })
    }
    const reasons = new Map(
      this.#order.flatMap((index) => {
        const reason = this.#reasons[index]
        return reason === undefined ? [] : [[index, reason] as const]
      }),
    )
    return { decisions, order: this.#order, reasons, freedBytes: this.#startBytes - this.#leftBytes }
  }

  /** No record of ours stands upon itself; of one that was changed by hand neither end comes free. */
  #removeCircles(): void {
    const pinned = new Uint8Array(this.#items.length)
    const pending = [...this.#items.keys()].filter((index) => this.#state[index] === kept)
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      for (const below of this.#items[next]?.below ?? []) {
        if (pinned[below] === 1) continue
        pinned[below] = 1
        pending.push(below)
      }
    }
    for (const index of this.#items.keys()) {
      if (this.#isEnough()) return
      if (this.#isCache(index) && this.#state[index] === undecided && pinned[index] === 0)
        this.#remove(index, this.#reasonToRemove(index))
    }
  }

  #applyRules(): void {
    const { now, inUse = new Set<number>() } = this.#facts
    const facts: RuleFacts = {
      now,
      inUse,
      inventory: this.#inventory,
      imageOf: imagesOfItems(this.#items),
      isShared: (index) => isSharedItem(this.#items, this.#needers, index),
    }
    for (const index of this.#items.keys()) {
      if (this.#state[index] === removed || this.#items[index]?.standing.as === 'part') continue
      const reason = keptBy(this.#policy, facts, index)
      if (reason === undefined) continue
      this.#state[index] = kept
      this.#reasons[index] = reason
    }
    this.#keepBlobsOfUnreadableImages(facts)
  }

  #keepBlobsOfUnreadableImages(facts: RuleFacts): void {
    if (this.#inventory.unreadableImages.length === 0 && facts.inUse.size === 0) return
    for (const [index, item] of this.#items.entries()) {
      if (item.standing.as !== 'part' || this.#state[index] === removed) continue
      const reason = keptBy({ reach: 'everything' }, facts, index)
      if (reason === undefined) continue
      this.#state[index] = kept
      this.#reasons[index] = reason
    }
  }

  #isCache(index: number): boolean {
    return this.#items[index]?.standing.as === 'cache'
  }

  #isEnough(): boolean {
    return this.#target !== undefined && this.#leftBytes <= this.#target
  }

  /** A part counts for each that names it with its share. */
  #values(): Float64Array {
    const values = new Float64Array(this.#items.length)
    for (const [index, { bytes, parts, rebuildMs, usedMs }] of this.#items.entries()) {
      const shares = parts.reduce((sum, part) => sum + this.#shareOf(part), 0)
      values[index] = worthOf(rebuildMs, bytes + shares, this.#facts.now - usedMs)
    }
    return values
  }

  #shareOf(part: number): number {
    return (this.#items[part]?.bytes ?? 0) / Math.max(1, this.#needers[part] ?? 1)
  }

  #reasonToRemove(index: number): Reason {
    const item = this.#items[index]
    const unusedMs = Math.max(0, this.#facts.now - (item?.usedMs ?? 0))
    if (this.#target === undefined) return { code: 'unused', unusedMs }
    const freed = (item?.parts ?? []).filter((part) => this.#needers[part] === 1)
    const bytes = freed.reduce((sum, part) => sum + (this.#items[part]?.bytes ?? 0), item?.bytes ?? 0)
    return { code: 'least-valuable', rebuildMs: item?.rebuildMs ?? 0, bytes, unusedMs }
  }

  #remove(index: number, reason: Reason): void {
    const item = this.#items[index]
    if (item === undefined) return
    this.#state[index] = removed
    this.#reasons[index] = reason
    this.#order.push(index)
    this.#leftBytes -= item.bytes
    for (const below of item.below) add(this.#above, below, -1)
    for (const part of item.parts) {
      add(this.#needers, part, -1)
      if (this.#needers[part] === 0 && this.#state[part] === undecided)
        this.#remove(part, { code: 'part-of-removed' })
    }
  }

  /** For each item, one that stays and stands upon it or names it. */
  #blockers(): Int32Array {
    const blockers = new Int32Array(this.#items.length).fill(-1)
    for (const [index, { below, parts }] of this.#items.entries()) {
      if (this.#state[index] === removed) continue
      for (const other of [...below, ...parts]) {
        // An image says more than a step.
        if (blockers[other] === -1 || this.#items[index]?.kind === 'image') blockers[other] = index
      }
    }
    return blockers
  }

  #reasonToStay(index: number, blockers: Int32Array): Reason {
    const blocker = this.#items[blockers[index] ?? -1]
    if (blocker === undefined) return { code: 'enough' }
    if (blocker.kind === 'image') return { code: 'image', image: blocker.description }
    if (this.#items[index]?.standing.as === 'part') return { code: 'part-of', item: blocker.description }
    return { code: 'below', count: this.#above[index] ?? 0, item: blocker.description }
  }
}

function add(counts: Uint32Array, index: number, by: number): void {
  counts[index] = (counts[index] ?? 0) + by
}

/** Whether several items need it, or a part of it. */
export function isSharedItem(items: readonly Item[], needers: ArrayLike<number>, index: number): boolean {
  return (needers[index] ?? 0) > 1 || (items[index]?.parts ?? []).some((part) => (needers[part] ?? 0) > 1)
}
