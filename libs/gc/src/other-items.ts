import { isRecord, parseJson } from '@tsbuild/shape'
import type { StoreEntry, StoreEntryKind } from '@tsbuild/store'
import type { ItemList } from './item-list.ts'
import type { FixedCode } from './types.ts'
import { fetchMs, lookedAtMs } from './value.ts'

/** What is damaged may be of use to whoever looks for the reason, for a week. */
const quarantineMs = 7 * 24 * 3_600_000
/** What it costs to read a directory's files again for their fingerprints; most take less. */
const fingerprintsMs = 1000

/** Adds what is neither an image, a step nor a source. */
export function addOthers(
  list: ItemList,
  of: (kind: StoreEntryKind) => readonly StoreEntry[],
  now: number,
): void {
  for (const entry of of('cache-mount')) addCacheMount(list, entry)
  for (const entry of of('build')) addBuild(list, entry)
  for (const entry of of('cache-file')) {
    const { id } = entry
    const description = `${id.split('/')[0] ?? id} of builds`
    list.add({
      id: `cache/${id}`,
      kind: 'internal',
      description,
      entries: [entry],
      rebuildMs: fingerprintsMs,
    })
  }
  for (const entry of of('quarantine')) {
    const isOld = now - entry.usedMs > quarantineMs
    const standing = isOld ? ({ as: 'garbage', code: 'quarantined' } as const) : ({ as: 'cache' } as const)
    const id = `quarantine/${entry.id}`
    const description = `damaged ${entry.id.slice(0, 12)}`
    list.add({ id, kind: 'internal', description, standing, entries: [entry], rebuildMs: lookedAtMs })
  }
  for (const entry of of('leftover')) {
    const standing = { as: 'garbage', code: 'leftover' } as const
    list.add({ id: entry.id, kind: 'internal', description: 'left over', standing, entries: [entry] })
  }
  addFixed(list, 'session', 'work under way', of('session'))
  addFixed(list, 'index', 'index of steps', of('index'))
  addFixed(list, 'fixed', 'directories and lists of the store', of('fixed'))
}

function addCacheMount(list: ItemList, entry: StoreEntry): void {
  const meta = objectOf(entry)
  const { id, scope } = meta
  const name = typeof id === 'string' ? JSON.stringify(id) : entry.id.slice(0, 12)
  const ofScope = typeof scope === 'string' && scope !== 'main' ? ` of scope ${scope}` : ''
  list.add({
    id: entry.id,
    kind: 'exec.cachemount',
    description: `cache mount ${name}${ofScope}`,
    entries: [entry],
    // Nobody knows what steps put there; most of it was downloaded.
    rebuildMs: fetchMs(entry.bytes),
  })
}

function addBuild(list: ItemList, entry: StoreEntry): void {
  const { id } = entry
  const { name } = objectOf(entry)
  const description = `log of build ${typeof name === 'string' ? name : id}`
  list.add({ id, kind: 'history', description, entries: [entry], rebuildMs: lookedAtMs })
}

/** One item: nobody asks for these one by one. */
function addFixed(
  list: ItemList,
  code: FixedCode,
  description: string,
  entries: readonly StoreEntry[],
): void {
  if (entries.length === 0) return
  list.add({ id: code, kind: 'internal', description, standing: { as: 'fixed', code }, entries })
}

function objectOf(entry: StoreEntry): Record<string, unknown> {
  const written = entry.text()
  const value = written === undefined ? undefined : parseJson(written)
  return isRecord(value) ? value : {}
}
