import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InternalError } from '@tsbuild/errors'
import { makeDirectory, removeFile } from './disk.ts'
import { onDisk, onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import { isSnapshotId, isSourceId, type Layout, type SourceId } from './layout.ts'
import { type HeldRange, isRangeHeld, rangeOf, tryRangeLock } from './range-lock.ts'
import type { SnapshotId } from './snapshot-types.ts'
import type { StoreOptions } from './types.ts'

const draftPrefix = 'draft-'
const sourcePrefix = 'source-'
const scratchPrefix = 'scratch-'

/**
 * What one opening of the store has under way: `v1/ingest/<session>/` holds its temporary files and the marks of its
 * drafts. A byte of `v1/locks/sessions` is locked before the directory appears and until it is gone, so a session
 * whose byte is free belongs to nobody. Made when first needed: a build that finds everything makes none.
 */
export class Session {
  readonly #layout: Layout
  readonly #options: Pick<StoreOptions, 'randomId' | 'removeTrees'>
  #open: { readonly directory: string; readonly lock: HeldRange } | undefined

  constructor(layout: Layout, options: Pick<StoreOptions, 'randomId' | 'removeTrees'>) {
    this.#layout = layout
    this.#options = options
  }

  /** A path for a new temporary file. */
  temporaryFile(): string {
    return join(this.#directory(), this.#options.randomId())
  }

  /** A path for a file of a fixed name that ends with the session, none of whose names are hex digits alone. */
  file(name: string): string {
    return join(this.#directory(), name)
  }

  /** A new snapshot id, noted so that its directory goes when this process dies. */
  noteDraft(): SnapshotId {
    const id = this.#options.randomId()
    if (!isSnapshotId(id)) throw badId(id)
    this.#note(`${draftPrefix}${id}`)
    return id
  }

  /** For a draft that is committed or deleted. A mark that cannot be removed does no harm: sweeps look at the draft. */
  forgetDraft(id: SnapshotId): void {
    this.#forget(`${draftPrefix}${id}`)
  }

  /** As {@link noteDraft}, for the tree of a source. */
  noteSource(): SourceId {
    const id = this.#options.randomId()
    if (!isSourceId(id)) throw badId(id)
    this.#note(`${sourcePrefix}${id}`)
    return id
  }

  /** As {@link forgetDraft}, for the tree of a source. */
  forgetSource(id: SourceId): void {
    this.#forget(`${sourcePrefix}${id}`)
  }

  /** A new directory that ends with the session. */
  scratch(): string {
    const path = join(this.#directory(), `${scratchPrefix}${this.#options.randomId()}`)
    onDiskSync('make directory', path, () => mkdirSync(path, 0o700))
    return path
  }

  /** Deletes what was neither committed nor released, and lets go of the lock. */
  async close(): Promise<void> {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    try {
      await clearSession(this.#layout, open.directory, this.#options.removeTrees)
    } finally {
      open.lock.release()
    }
  }

  #note(mark: string): void {
    const path = join(this.#directory(), mark)
    onDiskSync('write', path, () => writeFileSync(path, '', { flag: 'wx', mode: 0o600 }))
  }

  #forget(mark: string): void {
    try {
      removeFile(join(this.#directory(), mark))
    } catch {
      // Sweeps look at the draft.
    }
  }

  #directory(): string {
    this.#open ??= this.#begin()
    return this.#open.directory
  }

  #begin(): { readonly directory: string; readonly lock: HeldRange } {
    const id = this.#options.randomId()
    const lock = tryRangeLock(sessionLocks(this.#layout), rangeOf(id))
    if (lock === undefined)
      throw new InternalError('ERR_INTERNAL', `Cannot begin session ${id}: its id is in use`)
    const directory = join(this.#layout.ingest, id)
    try {
      onDiskSync('make directory', directory, () => makeDirectory(directory))
    } catch (error) {
      lock.release()
      throw error
    }
    return { directory, lock }
  }
}

/** Whether a text is 32 lowercase hex digits. */
export function isSessionName(text: string): boolean {
  return isSnapshotId(text)
}

/** Whether the process of a session is alive. Writes nothing. */
export function isSessionAlive(layout: Layout, name: string): boolean {
  return isRangeHeld(sessionLocks(layout), rangeOf(name))
}

/** The names of sessions, live or dead: one readdir. */
export function sessionNames(layout: Layout): readonly string[] {
  return onDiskSync('read', layout.ingest, () => readdirSync(layout.ingest)).filter(isSnapshotId)
}

/** Deletes what dead processes left. Safe beside live sessions and other sweeps. */
export async function sweepSessions(
  layout: Layout,
  names: readonly string[],
  removeTrees: StoreOptions['removeTrees'],
): Promise<void> {
  for (const name of names) {
    const lock = tryRangeLock(sessionLocks(layout), rangeOf(name))
    if (lock === undefined) continue
    try {
      await clearSession(layout, join(layout.ingest, name), removeTrees)
    } finally {
      lock.release()
    }
  }
}

async function clearSession(
  layout: Layout,
  directory: string,
  removeTrees: StoreOptions['removeTrees'],
): Promise<void> {
  await onDisk('clear', directory, async () => {
    const names = unlessErrnoSync(['ENOENT'], () => readdirSync(directory)) ?? []
    const withoutPrefix = (prefix: string) =>
      names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
    const drafts = [
      ...withoutPrefix(draftPrefix)
        .filter(isSnapshotId)
        .map((id) => layout.snapshot(id)),
      ...withoutPrefix(sourcePrefix)
        .filter(isSourceId)
        .map((id) => layout.source(id)),
    ]
    const doomed = [
      ...drafts
        .filter(({ marker, directory: tree }) => !existsSync(marker) && existsSync(tree))
        .map((draft) => draft.directory),
      // They may hold files of subordinate ids, and directories that nobody may write to.
      ...withoutPrefix(scratchPrefix).map((name) => join(directory, `${scratchPrefix}${name}`)),
    ]
    if (doomed.length > 0) await removeTrees(doomed)
    rmSync(directory, { recursive: true, force: true })
  })
}

function badId(id: string): InternalError {
  return new InternalError('ERR_INTERNAL', `Cannot use id ${JSON.stringify(id)}`)
}

function sessionLocks(layout: Layout): string {
  return join(layout.locks, 'sessions')
}
