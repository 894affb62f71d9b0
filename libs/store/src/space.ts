import { existsSync, lstatSync, mkdirSync, renameSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { buildRange, type DirectoryBuildStore } from './build-store.ts'
import { cacheMountRange, type DirectoryCacheMountStore } from './cache-mount-store.ts'
import { readSmallFile } from './disk.ts'
import type { DirectoryFailureStore } from './failure-store.ts'
import { onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import { heldOffsets } from './held-ranges.ts'
import { type Layout, shortHash } from './layout.ts'
import { measureTrees } from './measure-trees.ts'
import { type HeldRange, rangeOf } from './range-lock.ts'
import { isSessionName, type Session, sweepSessions } from './session.ts'
import { workUse } from './source-store.ts'
import { type Found, listStore } from './space-list.ts'
import type { Removal, StoreEntry, StoreOptions, StoreSpace } from './types.ts'
import type { Uses } from './uses.ts'

/** What it works with. */
export interface SpaceParts {
  readonly layout: Layout
  readonly session: Session
  readonly uses: Uses
  readonly builds: DirectoryBuildStore
  readonly failures: DirectoryFailureStore
  readonly cacheMounts: DirectoryCacheMountStore
  readonly options: Pick<StoreOptions, 'removeTrees' | 'measureTrees'>
}

/** {@link StoreSpace} of a directory. */
export class DirectoryStoreSpace implements StoreSpace {
  readonly #parts: SpaceParts

  constructor(parts: SpaceParts) {
    this.#parts = parts
  }

  async list(): Promise<readonly StoreEntry[]> {
    const { layout, options } = this.#parts
    const found = listStore(layout)
    const deep = found.filter(({ shallow }) => !shallow)
    const measured = await (options.measureTrees ?? measureTrees)(deep.map(({ path }) => path))
    const sizes = new Map(deep.map(({ path }, index) => [path, measured[index] ?? 0]))
    return found.map((entry) => sized(entry, sizes.get(entry.path) ?? ownBlocks(entry.path)))
  }

  async remove(
    entries: readonly StoreEntry[],
    still: (blob: StoreEntry) => boolean = () => true,
  ): Promise<readonly Removal[]> {
    const { session, options } = this.#parts
    let scratch: string | undefined
    /** Out of sight first: half a thing must not look like a whole one, and what dies here is swept with its session. */
    const moveAway = (path: string, index: number): Removal => {
      scratch ??= session.scratch()
      const target = join(scratch, String(index))
      const moved = onDiskSync('remove', path, () =>
        unlessErrnoSync(['ENOENT'], () => {
          renameSync(path, target)
          return true
        }),
      )
      return moved === true ? 'removed' : 'gone'
    }
    const removals: Removal[] = []
    for (const [index, entry] of entries.entries()) {
      removals.push(await this.#remove(entry, { still, moveAway: (path) => moveAway(path, index) }))
    }
    if (scratch !== undefined) await options.removeTrees([scratch])
    return removals
  }

  account(): string | undefined {
    try {
      return readSmallFile(this.#parts.layout.account)?.toString()
    } catch {
      return undefined
    }
  }

  setAccount(text: string): void {
    const { layout, session } = this.#parts
    try {
      const temporary = session.temporaryFile()
      writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 })
      mkdirSync(dirname(layout.account), { recursive: true, mode: 0o700 })
      renameSync(temporary, layout.account)
    } catch {
      // It is made again by whoever misses it.
    }
  }

  disk(): { readonly totalBytes: number; readonly freeBytes: number } {
    const { root } = this.#parts.layout
    const { bsize, blocks, bavail } = onDiskSync('look up', root, () => statfsSync(root))
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail }
  }

  inUse(entries: readonly StoreEntry[]): readonly boolean[] {
    const used = heldOffsets(this.#parts.uses.path)
    const mounted = heldOffsets(this.#parts.layout.mountLocks)
    const builds = heldOffsets(this.#parts.layout.buildLocks)
    return entries.map(({ kind, id }) => {
      switch (kind) {
        case 'snapshot':
        case 'source':
        case 'blob':
          return used.has(rangeOf(id))
        case 'source-work':
          return used.has(rangeOf(shortHash(workUse(id))))
        case 'cache-mount':
          return mounted.has(cacheMountRange(id))
        case 'build':
          return builds.has(buildRange(id))
        default:
          return false
      }
    })
  }

  async #remove(
    entry: StoreEntry,
    { moveAway, still }: { moveAway(path: string): Removal; still(blob: StoreEntry): boolean },
  ): Promise<Removal> {
    const { layout, uses, builds, failures, cacheMounts } = this.#parts
    const path = pathOf(layout, entry)
    const id = basename(entry.id)
    switch (entry.kind) {
      case 'fixed':
        return 'in-use'
      case 'record':
      case 'source-name':
        return isStill(path, entry) ? unlinked(path) : missing(path)
      case 'blob':
        return whileHeld(uses.tryTake(id), () => (still(entry) ? unlinked(path) : 'changed'))
      case 'snapshot':
      case 'source':
        return whileHeld(uses.tryTake(id), () => moveAway(path))
      case 'source-work':
        return whileHeld(uses.tryTakeName(workUse(id)), () => moveAway(path))
      case 'leftover':
        return whileHeld(uses.tryTake(id), () => (isCommitted(path) ? 'changed' : moveAway(path)))
      case 'cache-mount':
        return await cacheMounts.remove(entry.id, moveAway)
      case 'failure':
        return whileHeld(failures.tryTake(entry.id), () => moveAway(path))
      case 'session':
        return await this.#removeSession(entry.id, path)
      case 'build':
        return whileHeld(builds.tryTake(id), () => moveAway(path))
      case 'quarantine':
      case 'index':
      case 'file-list':
      case 'cache-file':
        return moveAway(path)
    }
  }

  /** Only what a dead process left. */
  async #removeSession(name: string, path: string): Promise<Removal> {
    const { layout, options } = this.#parts
    if (!isSessionName(name)) return 'in-use'
    await sweepSessions(layout, [name], options.removeTrees)
    return existsSync(path) ? 'in-use' : 'removed'
  }
}

function sized({ path: _, shallow: __, ...entry }: Found, bytes: number): StoreEntry {
  return { ...entry, bytes }
}

/** Of one file or directory, without what is in it. */
function ownBlocks(path: string): number {
  const stat = onDiskSync('look up', path, () => lstatSync(path, { throwIfNoEntry: false }))
  return (stat?.blocks ?? 0) * 512
}

function pathOf(layout: Layout, { kind, id }: StoreEntry): string {
  switch (kind) {
    case 'record':
      return join(layout.records, id.slice(0, 2), `${id}.json`)
    case 'blob':
      return join(layout.blobs, id)
    case 'snapshot':
      return join(layout.snapshots, id)
    case 'source':
      return join(layout.sourceTrees, id)
    case 'source-name':
      return join(layout.sourceNames, `${id}.json`)
    case 'source-work':
      return join(layout.sourceWork, id)
    case 'cache-mount':
      return join(layout.mounts, id)
    case 'failure':
      return join(layout.failures, id)
    case 'file-list':
      return join(layout.files, id)
    case 'cache-file':
      return join(layout.cache, id)
    case 'index':
      return join(layout.v1, 'index', id)
    case 'build':
      return join(layout.builds, id)
    case 'quarantine':
      return join(layout.quarantine, id)
    case 'session':
      return join(layout.ingest, id)
    case 'leftover':
      return join(layout.v1, id)
    case 'fixed':
      return join(layout.root, id)
  }
}

function whileHeld(lock: HeldRange | undefined, body: () => Removal): Removal {
  if (lock === undefined) return 'in-use'
  try {
    return body()
  } finally {
    lock.release()
  }
}

function unlinked(path: string): Removal {
  const removed = onDiskSync('remove', path, () =>
    unlessErrnoSync(['ENOENT'], () => {
      unlinkSync(path)
      return true
    }),
  )
  return removed === true ? 'removed' : 'gone'
}

function isStill(path: string, { inode }: StoreEntry): boolean {
  return onDiskSync('look up', path, () => lstatSync(path, { throwIfNoEntry: false }))?.ino === inode
}

function missing(path: string): Removal {
  return existsSync(path) ? 'changed' : 'gone'
}

/** Somebody may have finished it since the list was made. */
function isCommitted(path: string): boolean {
  return ['snapshot.json', 'source.json', 'failure.json'].some((marker) => existsSync(join(path, marker)))
}
