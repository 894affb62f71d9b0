import type { StoreEntry } from '@tsbuild/store'
import type { Inventory, Item } from '../types.ts'

/** What a test says of an item; the rest is that of a small step, used at time 0. */
export type ItemSpec = Partial<Omit<Item, 'below' | 'parts' | 'entries'>> & {
  readonly id: string
  /** Ids. */
  readonly below?: readonly string[]
  readonly parts?: readonly string[]
  /** Of its only entry; default that of a blob for a part, else of a snapshot. */
  readonly entryKind?: StoreEntry['kind']
}

/** An inventory of items that name each other by id. */
export function makeInventory(
  specs: readonly ItemSpec[],
  unreadableImages: readonly string[] = [],
): Inventory {
  const indexes = new Map(specs.map(({ id }, index) => [id, index]))
  const indexOf = (id: string) => {
    const index = indexes.get(id)
    if (index === undefined) throw new Error(`there is no item ${id}`)
    return index
  }
  const items = specs.map(({ below = [], parts = [], entryKind, ...spec }): Item => {
    const item = {
      kind: 'regular' as const,
      description: spec.id,
      standing: { as: 'cache' } as const,
      bytes: 4096,
      createdMs: 0,
      usedMs: 0,
      rebuildMs: 1000,
      ...spec,
    }
    const kind = entryKind ?? (item.standing.as === 'part' ? 'blob' : 'snapshot')
    return {
      ...item,
      entries: [entry(kind, spec.id, item)],
      below: below.map(indexOf),
      parts: parts.map(indexOf),
    }
  })
  return { items, totalBytes: items.reduce((sum, { bytes }) => sum + bytes, 0), unreadableImages }
}

/** An entry of a store that is not there. */
function entry(
  kind: StoreEntry['kind'],
  id: string,
  more: { readonly bytes?: number; readonly usedMs?: number; readonly text?: string } = {},
): StoreEntry {
  const { bytes = 4096, usedMs = 0, text } = more
  return { kind, id, bytes, createdMs: usedMs, usedMs, inode: 1, text: () => text }
}
