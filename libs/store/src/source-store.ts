import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { InternalError } from '@tsbuild/errors'
import { isObject } from './descriptor-json.ts'
import { readSmallFile } from './disk.ts'
import { onDiskSync } from './fs-failure.ts'
import type { GroupCommit } from './group-commit.ts'
import { isSourceId, type Layout, type SourceId } from './layout.ts'
import { unsealedText } from './seal.ts'
import type { Session } from './session.ts'
import type { FetchedSource, SourceDraft, SourceStore, StoreOptions } from './types.ts'
import type { Uses } from './uses.ts'

/** What the source store works with. */
export interface SourceStoreParts {
  readonly layout: Layout
  readonly session: Session
  readonly commits: GroupCommit
  readonly uses: Uses
  readonly options: Pick<StoreOptions, 'now' | 'removeTrees' | 'contentOf'>
}

/**
 * {@link SourceStore} in `v1/sources`: trees under ids, and names that point to them. Stores that are older than it get
 * its directories when they are needed.
 */
export class DirectorySourceStore implements SourceStore {
  readonly #parts: SourceStoreParts

  constructor(parts: SourceStoreParts) {
    this.#parts = parts
  }

  get(name: string): FetchedSource | undefined {
    const { layout, uses } = this.#parts
    const path = layout.sourceName(name)
    const bytes = onDiskSync('read', path, () => readSmallFile(path))
    const written = unsealedText(basename(path, '.json'), bytes)
    const pointer = written === undefined ? undefined : parseSourcePointer(written)
    if (pointer === undefined || !uses.hold(pointer.tree)) return undefined
    const { fs, marker } = layout.source(pointer.tree)
    // After a power cut the name may be there without its tree, and a prune may have been here.
    const committed = onDiskSync('look up', marker, () => statSync(marker, { throwIfNoEntry: false }))
    if (committed === undefined) return undefined
    uses.note(marker, committed.mtimeMs)
    return { path: fs, text: pointer.text }
  }

  async draft(): Promise<SourceDraft> {
    const { layout, session, uses } = this.#parts
    const id = session.noteSource()
    uses.hold(id)
    const { directory, fs } = layout.source(id)
    onDiskSync('make directory', directory, () => {
      mkdirSync(layout.sourceTrees, { recursive: true, mode: 0o700 })
      mkdirSync(directory, 0o700)
      mkdirSync(fs)
      // It counts as the root directory of what is copied, which the umask of our caller must not change.
      chmodSync(fs, 0o755)
    })
    return new Draft(id, this.#parts)
  }

  async name(source: FetchedSource, name: string, text: string): Promise<FetchedSource> {
    const { layout } = this.#parts
    const id = basename(dirname(source.path))
    if (!isSourceId(id) || layout.source(id).fs !== source.path) {
      throw new InternalError('ERR_INTERNAL', `Cannot name ${JSON.stringify(source.path)}: it is no source`)
    }
    return giveName(this.#parts, { id, marker: undefined }, name, text)
  }

  async workDirectory(name: string): Promise<string> {
    const { layout, uses } = this.#parts
    const path = layout.sourceWorkDirectory(name)
    uses.holdName(workUse(basename(path)))
    onDiskSync('make directory', path, () => mkdirSync(path, { recursive: true, mode: 0o700 }))
    return path
  }

  async scratch(): Promise<string> {
    return this.#parts.session.scratch()
  }
}

/** What a work directory is held as. @param name of the directory */
export function workUse(name: string): string {
  return `source work ${name}`
}

class Draft implements SourceDraft {
  readonly path: string
  readonly #id: SourceId
  readonly #parts: SourceStoreParts

  constructor(id: SourceId, parts: SourceStoreParts) {
    this.path = parts.layout.source(id).fs
    this.#id = id
    this.#parts = parts
  }

  async commit(name: string, text: string): Promise<FetchedSource> {
    const { now, contentOf } = this.#parts.options
    const content = await contentOf?.(this.path)
    const marker = JSON.stringify({ createdMs: now(), content })
    return await giveName(this.#parts, { id: this.#id, marker }, name, text)
  }

  async release(): Promise<void> {
    const { layout, session, options } = this.#parts
    await options.removeTrees([layout.source(this.#id).directory])
    session.forgetSource(this.#id)
  }
}

/** A tree that is committed already was durable before it could be found: only its name is synced. */
async function giveName(
  { layout, commits }: SourceStoreParts,
  tree: { readonly id: SourceId; readonly marker: string | undefined },
  name: string,
  text: string,
): Promise<FetchedSource> {
  onDiskSync('make directory', layout.sourceNames, () =>
    mkdirSync(layout.sourceNames, { recursive: true, mode: 0o700 }),
  )
  const nameText = JSON.stringify({ tree: tree.id, text })
  const source = { ...tree, namePath: layout.sourceName(name), nameText }
  await commits.enqueue({ source, records: [], synced: tree.marker === undefined })
  return { path: layout.source(tree.id).fs, text }
}

/** Reads the text of a name. @returns undefined for text that is no pointer: what it named can be fetched again */
export function parseSourcePointer(
  text: string,
): { readonly tree: SourceId; readonly text: string } | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(value) || typeof value.tree !== 'string' || typeof value.text !== 'string') return undefined
  return isSourceId(value.tree) ? { tree: value.tree, text: value.text } : undefined
}
