import type { StoreEntry } from '@tsbuild/store'
import type { Item, ItemKind, Standing } from './types.ts'

/** An item that is not complete yet. */
export interface ItemDraft {
  readonly id: string
  kind: ItemKind
  description: string
  standing: Standing
  readonly entries: StoreEntry[]
  rebuildMs: number
  readonly below: Set<number>
  readonly parts: Set<number>
}

/** What a new item begins with; the rest has defaults of something small that can be made again. */
export type NewItem = Pick<ItemDraft, 'id' | 'kind' | 'description'> & {
  readonly standing?: Standing
  readonly entries?: readonly StoreEntry[]
  readonly rebuildMs?: number
}

/** Items of an inventory while it is taken. */
export class ItemList {
  readonly #drafts: ItemDraft[] = []

  /** @returns its index */
  add({ id, kind, description, standing, entries, rebuildMs }: NewItem): number {
    return (
      this.#drafts.push({
        id,
        kind,
        description,
        standing: standing ?? { as: 'cache' },
        entries: [...(entries ?? [])],
        rebuildMs: rebuildMs ?? 0,
        below: new Set(),
        parts: new Set(),
      }) - 1
    )
  }

  /** To be changed; of an index that {@link ItemList.add} gave. */
  at(index: number): ItemDraft {
    const draft = this.#drafts[index]
    if (draft === undefined) throw new RangeError(`there is no item ${index}`)
    return draft
  }

  /** The whole list, in the order of the indexes. */
  items(): readonly Item[] {
    return this.#drafts.map((draft, index) => ({
      ...draft,
      bytes: draft.entries.reduce((sum, { bytes }) => sum + bytes, 0),
      createdMs: leastOf(draft.entries.map(({ createdMs }) => createdMs)),
      usedMs: draft.entries.reduce((latest, { usedMs }) => Math.max(latest, usedMs), 0),
      below: [...draft.below].filter((other) => other !== index),
      parts: [...draft.parts],
    }))
  }
}

function leastOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((least, value) => Math.min(least, value))
}
