import { type Digest, digestFromHex } from '@tsbuild/digest'
import type { Store, StoreEntry } from '@tsbuild/store'
import { reachImages } from './image-blobs.ts'
import { type InventoryStore, takeInventory } from './inventory.ts'
import { planPrune } from './plan.ts'
import { evictionText } from './reason-text.ts'
import type { Decision, Inventory, Item, Plan, PrunePolicy, Reason } from './types.ts'

/** What of a store a prune works on. */
export type PruneStore = InventoryStore & Pick<Store, 'locks' | 'steps'>

/** How to prune. */
export interface PruneOptions {
  readonly policy: PrunePolicy
  readonly now: () => number
  /** Only says what would be done. */
  readonly dryRun?: boolean | undefined
  /** Ends it between two deletions; what was deleted stays so. */
  readonly signal?: AbortSignal | undefined
  /** Called for each item when it is gone. */
  readonly onRemoved?: ((removed: RemovedItem) => void) | undefined
}

/** An item that a prune removed, or would remove. */
export interface RemovedItem {
  readonly item: Item
  readonly reason: Reason
  /** Without what it shared with others. */
  readonly freedBytes: number
}

/** What a prune did. */
export interface PruneReport {
  readonly removed: readonly RemovedItem[]
  /** What stays, and why. */
  readonly kept: readonly Decision[]
  readonly freedBytes: number
  /** What the store takes now. */
  readonly totalBytes: number
}

/** As many as one removal of trees takes at once. */
const batchSize = 100
/** Tombstones are files of many lines, each written anew: so they are gathered. A death costs their explanations. */
const tombstoneBatch = 5000

/**
 * Removes from a store what a policy gives away. One prune at a time works on a store; builds go on meanwhile, and what they use stays.
 * Killed anywhere it leaves nothing worse than records without files, which count as misses and are garbage for the next one.
 *
 * @throws {UserError} `ERR_CANCELLED`
 * @throws {EnvironmentError} `ERR_STORE_CORRUPT` if the image list cannot be read; what the store's deletions throw
 */
export async function prune(store: PruneStore, options: PruneOptions): Promise<PruneReport> {
  const { signal } = options
  return await store.locks.withLock('prune', () => pruneAlone(store, options), { signal })
}

/** As {@link prune}, for who holds the lock `prune` of the store. */
async function pruneAlone(store: PruneStore, options: PruneOptions): Promise<PruneReport> {
  return await pruneInventory(store, await takeInventory(store, options.now()), options)
}

/** As {@link pruneAlone}, with an inventory that was just taken. */
export async function pruneInventory(
  store: PruneStore,
  inventory: Inventory,
  options: PruneOptions,
): Promise<PruneReport> {
  return await new Pruning(store, inventory, options).run()
}

class Pruning {
  readonly #store: PruneStore
  readonly #inventory: Inventory
  readonly #options: PruneOptions
  readonly #gone = new Set<number>()
  readonly #inUse: Set<number>
  readonly #removed: RemovedItem[] = []
  readonly #still: (blob: StoreEntry) => boolean
  /** Keys of records that are gone, by reason. */
  readonly #evicted = new Map<string, Digest[]>()
  #evictedCount = 0
  readonly #now: number

  constructor(store: PruneStore, inventory: Inventory, options: PruneOptions) {
    this.#store = store
    this.#inventory = inventory
    this.#options = options
    this.#inUse = itemsInUse(store, inventory)
    this.#still = whatNoImageNames(store)
    this.#now = options.now()
  }

  async run(): Promise<PruneReport> {
    let plan = this.#plan()
    if (this.#options.dryRun === true) this.#pretend(plan)
    else {
      // Each round without a surprise is the last; each surprise is an item more that stays.
      try {
        for (let known = -1; known < this.#inUse.size && plan.order.length > 0; plan = this.#plan()) {
          known = this.#inUse.size
          await this.#execute(plan)
        }
      } finally {
        this.#writeTombstones()
      }
    }
    const kept = plan.decisions.filter(({ keep }) => keep)
    const freedBytes = this.#removed.reduce((sum, removed) => sum + removed.freedBytes, 0)
    return { removed: this.#removed, kept, freedBytes, totalBytes: this.#inventory.totalBytes - freedBytes }
  }

  #plan(): Plan {
    const { freeBytes } = this.#store.space.disk()
    const facts = { now: this.#now, freeBytes, gone: this.#gone, inUse: this.#inUse }
    return planPrune(this.#inventory, this.#options.policy, facts)
  }

  #pretend(plan: Plan): void {
    for (const index of plan.order) this.#note(plan, index, this.#inventory.items[index]?.bytes ?? 0)
  }

  async #execute(plan: Plan): Promise<void> {
    for (let at = 0; at < plan.order.length; at += batchSize) {
      this.#options.signal?.throwIfAborted()
      const batch = plan.order.slice(at, at + batchSize)
      const isPart = (index: number) => this.#inventory.items[index]?.standing.as === 'part'
      // A part may only go when what names it is gone.
      await this.#removeItems(
        plan,
        batch.filter((index) => !isPart(index)),
      )
      await this.#removeItems(plan, batch.filter(isPart))
    }
  }

  /**
   * First the entry that may be in use, then what names it: records of what a build uses must stay. A base is in use when what stands
   * upon it is, so that one batch may hold both.
   */
  async #removeItems(plan: Plan, indexes: readonly number[]): Promise<void> {
    const pinned = this.#pinned()
    const found = indexes.flatMap((index) => {
      const item = this.#inventory.items[index]
      const [head, ...others] = item?.entries ?? []
      return head === undefined || pinned.has(index) ? [] : [{ index, head, others }]
    })
    const heads = await this.#store.space.remove(
      found.map(({ head }) => head),
      this.#still,
    )
    const free = found.flatMap((one, at) => {
      const answer = heads[at]
      if (answer === 'removed') return [{ ...one, freed: one.head.bytes }]
      if (answer === 'gone') return [{ ...one, freed: 0 }]
      this.#inUse.add(one.index)
      return []
    })
    const others = free.flatMap(({ others }) => others)
    const answers = await this.#store.space.remove(others, this.#still)
    const freed = new Map(others.map((entry, at) => [entry, answers[at] === 'removed' ? entry.bytes : 0]))
    for (const { index, others: rest, freed: head } of free) {
      this.#gone.add(index)
      this.#note(
        plan,
        index,
        rest.reduce((sum, entry) => sum + (freed.get(entry) ?? 0), head),
      )
    }
    this.#noteEvicted(plan, free)
  }

  #note(plan: Plan, index: number, freedBytes: number): void {
    const item = this.#inventory.items[index]
    const reason = plan.reasons.get(index)
    if (item === undefined || reason === undefined) return
    const removed = { item, reason, freedBytes }
    this.#removed.push(removed)
    this.#options.onRemoved?.(removed)
  }

  /** So that the next build can say why it has to run a step again. */
  #noteEvicted(plan: Plan, free: readonly { readonly index: number }[]): void {
    for (const { index } of free) {
      const item = this.#inventory.items[index]
      const reason = plan.reasons.get(index)
      if (item?.kind !== 'regular' || reason === undefined) continue
      const text = evictionText(reason)
      const keys = this.#evicted.get(text) ?? []
      this.#evicted.set(text, keys)
      for (const { kind, id } of item.entries) {
        if (kind !== 'record') continue
        keys.push(digestFromHex(id))
        this.#evictedCount++
      }
    }
    if (this.#evictedCount >= tombstoneBatch) this.#writeTombstones()
  }

  #writeTombstones(): void {
    for (const [reason, keys] of this.#evicted) this.#store.steps.evicted(keys, { at: this.#now, reason })
    this.#evicted.clear()
    this.#evictedCount = 0
  }

  /** What the items in use stand upon or name, of the items that are left. */
  #pinned(): ReadonlySet<number> {
    const pinned = new Set<number>()
    const pending = [...this.#inUse]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { below = [], parts = [] } = this.#inventory.items[next] ?? {}
      for (const other of [...below, ...parts]) {
        if (pinned.has(other)) continue
        pinned.add(other)
        pending.push(other)
      }
    }
    return pinned
  }
}

/** As far as the kernel says; who is asked to delete knows. */
export function itemsInUse(store: Pick<Store, 'space'>, { items }: Inventory): Set<number> {
  const entries = items.flatMap((item, index) => item.entries.slice(0, 1).map((entry) => ({ index, entry })))
  const answers = store.space.inUse(entries.map(({ entry }) => entry))
  return new Set(entries.flatMap(({ index }, at) => (answers[at] === true ? [index] : [])))
}

/**
 * Whether a blob is no image's, asked when nobody can take it into use: an image that was named since the inventory is in the list by then,
 * and one that will be named finds the blob missing and writes it again.
 */
function whatNoImageNames({ blobs, images }: InventoryStore): (blob: StoreEntry) => boolean {
  let list: string | undefined
  let named = new Set<string>()
  let isWhole = true
  return ({ id }) => {
    const all = images.all()
    const now = JSON.stringify(all.map(({ descriptor }) => descriptor.digest))
    if (now !== list) {
      const reached = reachImages(blobs, all)
      list = now
      named = new Set(reached.flatMap((image) => [...image.blobs]))
      isWhole = reached.every((image) => image.isWhole)
    }
    return isWhole && !named.has(id)
  }
}
