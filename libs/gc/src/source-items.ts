import { isRecord, parseJson } from '@tsbuild/shape'
import type { StoreEntry } from '@tsbuild/store'
import type { ItemList } from './item-list.ts'
import { fetchMs } from './value.ts'

/** Adds what was fetched: trees with the names that point to them, and the repositories that names fetch into. */
export function addSources(
  list: ItemList,
  found: {
    readonly trees: readonly StoreEntry[]
    readonly names: readonly StoreEntry[]
    readonly works: readonly StoreEntry[]
  },
): void {
  const trees = new Map<string, number>()
  for (const entry of found.trees) {
    const { id, bytes } = entry
    const description = `fetched files ${id.slice(0, 12)}`
    // Until a name points to it.
    const standing = { as: 'garbage', code: 'superseded' } as const
    trees.set(
      id,
      list.add({ id, kind: 'source', description, standing, entries: [entry], rebuildMs: fetchMs(bytes) }),
    )
  }
  for (const entry of found.names) {
    const index = trees.get(treeOf(entry) ?? '')
    if (index === undefined) {
      const standing = { as: 'garbage', code: 'superseded' } as const
      const description = `name of a source ${entry.id.slice(0, 12)}`
      list.add({ id: `names/${entry.id}`, kind: 'source', description, standing, entries: [entry] })
    } else {
      // The tree comes first: it may be in use, and a name without its tree counts as unknown.
      list.at(index).entries.push(entry)
      list.at(index).standing = { as: 'cache' }
    }
  }
  for (const entry of found.works) {
    const { id, bytes } = entry
    const description = `repository ${id.slice(0, 12)}`
    list.add({ id, kind: 'source', description, entries: [entry], rebuildMs: fetchMs(bytes) })
  }
}

function treeOf(entry: StoreEntry): string | undefined {
  const written = entry.text()
  const value = written === undefined ? undefined : parseJson(written)
  return isRecord(value) && typeof value.tree === 'string' ? value.tree : undefined
}
