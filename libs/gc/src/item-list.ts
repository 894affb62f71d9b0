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
    return this.#drafts.map((draft, index) => {
      const { entries } = draft
      // An image is nothing but its blobs, and as new as the newest.
      const dated = entries.length > 0 ? entries : [...draft.parts].flatMap((part) => this.at(part).entries)
      return {
        ...draft,
        bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
        createdMs: latest(dated.map(({ createdMs }) => createdMs)),
        usedMs: latest(dated.map(({ usedMs }) => usedMs)),
        below: [...draft.below].filter((other) => other !== index),
        parts: [...draft.parts],
      }
    })
  }
}

function latest(times: readonly number[]): number {
  return times.reduce((last, time) => Math.max(last, time), 0)
}
