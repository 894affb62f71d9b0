import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InternalError } from '@tsbuild/errors'
import { makeDirectory, removeFile } from './disk.ts'
import { onDisk, onDiskSync, unlessErrno } from './fs-failure.ts'
import { isSnapshotId, type Layout } from './layout.ts'
import { type HeldRange, rangeOf, tryRangeLock } from './range-lock.ts'
import type { SnapshotId, StoreOptions } from './types.ts'

const draftPrefix = 'draft-'

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

  /** A new snapshot id, noted so that its directory goes when this process dies. */
  noteDraft(): SnapshotId {
    const id = this.#options.randomId()
    if (!isSnapshotId(id)) throw new InternalError('ERR_INTERNAL', `Cannot use id ${JSON.stringify(id)}`)
    const mark = join(this.#directory(), `${draftPrefix}${id}`)
    onDiskSync('write', mark, () => writeFileSync(mark, '', { flag: 'wx', mode: 0o600 }))
    return id
  }

  /** For a draft that is committed or deleted. A mark that cannot be removed does no harm: sweeps look at the draft. */
  forgetDraft(id: SnapshotId): void {
    try {
      removeFile(join(this.#directory(), `${draftPrefix}${id}`))
    } catch {
      // As said above.
    }
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
    const names = unlessErrno(['ENOENT'], () => readdirSync(directory)) ?? []
    const drafts = names
      .filter((name) => name.startsWith(draftPrefix))
      .map((name) => name.slice(draftPrefix.length))
      .filter(isSnapshotId)
      .map((id) => layout.snapshot(id))
    const doomed = drafts.filter(({ marker, directory: tree }) => !existsSync(marker) && existsSync(tree))
    if (doomed.length > 0) await removeTrees(doomed.map((draft) => draft.directory))
    rmSync(directory, { recursive: true, force: true })
  })
}

function sessionLocks(layout: Layout): string {
  return join(layout.locks, 'sessions')
}
