import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { onDisk, unlessErrno } from '../failures.ts'
import { componentMark, isSharded, shardMark } from './layout.ts'

/** A file in the directories of objects. */
export interface FoundFile {
  readonly key: string
  readonly path: string
}

/** Which keys are wanted. */
export interface Wanted {
  readonly prefix: string
  /** Only keys behind it; empty for all. */
  readonly after: string
}

/**
 * Walks the files of objects in the order of the bytes of their keys. Holds the names of one directory for each component, never
 * more; skips directories that have nothing that is wanted.
 *
 * @param base the key of the directory: empty, or ending with `/`
 */
export async function* walk(directory: string, base: string, wanted: Wanted): AsyncGenerator<FoundFile> {
  for (const entry of await namesIn(directory, base)) {
    const { key, path, kind } = entry
    switch (kind) {
      case 'file':
        if (key.startsWith(wanted.prefix) && key > wanted.after) yield { key, path }
        break
      case 'component':
        if (mayHold(key, wanted)) yield* walk(path, key, wanted)
        break
      case 'group':
        if (mayHold(key, wanted)) yield* walkGroup(entry.names, path, key, wanted)
        break
    }
  }
}

/** Whether there can be wanted keys among those that begin with `start`. */
function mayHold(start: string, { prefix, after }: Wanted): boolean {
  const inPrefix = start.startsWith(prefix) || prefix.startsWith(start)
  return inPrefix && (after.startsWith(start) || start > after)
}

/** A file, the directory of a component, or everything in a directory that begins as a shard's names do. */
type Entry =
  | { readonly kind: 'file'; readonly key: string; readonly path: string }
  | { readonly kind: 'component'; readonly key: string; readonly path: string }
  | { readonly kind: 'group'; readonly key: string; readonly path: string; readonly names: readonly Entry[] }

/** In the order of their keys. */
async function namesIn(directory: string, base: string): Promise<readonly Entry[]> {
  const all = await entriesOf(directory)
  const shards = new Set(all.filter(isShard).map(({ name }) => name.slice(0, -shardMark.length)))
  const groups = new Map<string, Entry[]>([...shards].map((shard) => [shard, []]))
  const found: Entry[] = []
  for (const { name, ...one } of all) {
    const entry = entryOf({ name, isDirectory: one.isDirectory }, directory, base)
    if (entry === undefined) continue
    // Short names that begin as a shard's do stand between them.
    const group = groups.get(name.slice(0, 2))
    if (group === undefined) found.push(entry)
    else group.push(entry)
  }
  for (const [shard, names] of groups) {
    const path = join(directory, `${shard}${shardMark}`)
    found.push({ kind: 'group', key: `${base}${shard}`, path, names })
  }
  return found.sort(byKey)
}

async function* walkGroup(
  names: readonly Entry[],
  shard: string,
  start: string,
  wanted: Wanted,
): AsyncGenerator<FoundFile> {
  const base = start.slice(0, start.lastIndexOf('/') + 1)
  const inShard = (await entriesOf(shard))
    .filter(({ name, isDirectory }) => !isDirectory && isSharded(name))
    .map(({ name }): Entry => ({ kind: 'file', key: `${base}${name}`, path: join(shard, name) }))
  for (const entry of [...names, ...inShard].sort(byKey)) {
    if (entry.kind === 'component') {
      if (mayHold(entry.key, wanted)) yield* walk(entry.path, entry.key, wanted)
    } else if (entry.key.startsWith(wanted.prefix) && entry.key > wanted.after) {
      yield { key: entry.key, path: entry.path }
    }
  }
}

interface Name {
  readonly name: string
  readonly isDirectory: boolean
}

function isShard({ name, isDirectory }: Name): boolean {
  return isDirectory && name.length === 2 + shardMark.length && name.endsWith(shardMark)
}

/** Names that are none of ours count as nothing. */
function entryOf({ name, isDirectory }: Name, directory: string, base: string): Entry | undefined {
  const path = join(directory, name)
  if (!isDirectory) return isSharded(name) ? undefined : { kind: 'file', key: `${base}${name}`, path }
  if (!name.endsWith(componentMark)) return undefined
  return { kind: 'component', key: `${base}${name.slice(0, -componentMark.length)}/`, path }
}

/** Nothing where somebody has removed the directory meanwhile. */
async function entriesOf(directory: string): Promise<readonly Name[]> {
  return await onDisk('list', directory, async () => {
    const read = () => readdir(directory, { withFileTypes: true })
    const found: readonly Dirent[] = (await unlessErrno(['ENOENT'], read)) ?? []
    return found.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
  })
}

function byKey(a: Entry, b: Entry): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
}
