import { mkdirSync, readdirSync, renameSync, type Stats, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { InternalError } from '@tsbuild/errors'
import { onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import { isBuildRef, type Layout, shortHash } from './layout.ts'
import { type HeldRange, isRangeHeld, type RangeAccess, rangeOf, tryRangeLock } from './range-lock.ts'
import type { Session } from './session.ts'
import type { BuildStore, HeldBuild, OpenBuild, Removal, StoredBuild } from './types.ts'

/** `stat` counts in these, whatever the file system's own blocks are. */
const blockBytes = 512

/** {@link BuildStore} in `v1/builds`. */
export class DirectoryBuildStore implements BuildStore {
  readonly #layout: Layout
  readonly #session: Session

  constructor(layout: Layout, session: Session) {
    this.#layout = layout
    this.#session = session
  }

  begin(ref: string): OpenBuild {
    if (!isBuildRef(ref)) throw new RangeError(`Cannot keep the history of build ${JSON.stringify(ref)}`)
    // Before the directory appears: one whose lock is free belongs to nobody.
    const held = this.#lock(ref, 'exclusive')
    if (held === undefined) throw new InternalError('ERR_INTERNAL', `Cannot begin build ${ref}: it runs`)
    const directory = this.#layout.build(ref)
    try {
      onDiskSync('make directory', directory, () => {
        mkdirSync(this.#layout.builds, { recursive: true, mode: 0o700 })
        mkdirSync(directory, 0o700)
      })
    } catch (error) {
      held.release()
      throw error
    }
    let open = true
    const end = () => {
      if (open) held.release()
      open = false
    }
    return { directory, end }
  }

  list(): readonly StoredBuild[] {
    const { builds } = this.#layout
    const names =
      onDiskSync('read', builds, () => unlessErrnoSync(['ENOENT', 'ENOTDIR'], () => readdirSync(builds))) ??
      []
    const stored = names.filter(isBuildRef).flatMap((ref) => {
      const stats = lookUp(this.#layout.build(ref))
      return stats === undefined ? [] : [{ ref, changedMs: stats.mtimeMs }]
    })
    return stored.sort((a, b) => b.changedMs - a.changedMs || (a.ref < b.ref ? -1 : 1))
  }

  directory(ref: string): string | undefined {
    if (!isBuildRef(ref)) return undefined
    const path = this.#layout.build(ref)
    return lookUp(path)?.isDirectory() === true ? path : undefined
  }

  isRunning(ref: string): boolean {
    return isBuildRef(ref) && isBuildRunning(this.#layout, ref)
  }

  sizeBytes(ref: string): number {
    const path = this.directory(ref)
    return path === undefined ? 0 : onDiskSync('look up', path, () => sizeOf(path))
  }

  async remove(refs: readonly string[]): Promise<readonly Exclude<Removal, 'changed'>[]> {
    if (refs.length === 0) return []
    let scratch: string | undefined
    const answers = refs.map((ref) => {
      if (this.directory(ref) === undefined) return 'gone'
      const held = this.tryTake(ref)
      if (held === undefined) return 'in-use'
      try {
        scratch ??= this.#session.scratch()
        const [from, to] = [this.#layout.build(ref), join(scratch, ref)]
        const moved = onDiskSync('remove', from, () =>
          unlessErrnoSync(['ENOENT'], () => renameSync(from, to) ?? true),
        )
        return moved === true ? 'removed' : 'gone'
      } finally {
        held.release()
      }
    })
    // All of it is this user's, so the helper is not needed. What cannot be deleted now goes with the session.
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true }).catch(() => {})
    return answers
  }

  hold(ref: string): HeldBuild | undefined {
    if (!isBuildRef(ref)) return undefined
    // Undefined for one that runs: its own lock keeps it.
    const held = this.#lock(ref, 'shared')
    const directory = this.directory(ref)
    if (directory !== undefined) return { directory, release: () => held?.release() }
    held?.release()
    return undefined
  }

  /** For who deletes it. @returns undefined while it runs, or somebody reads it */
  tryTake(ref: string): HeldRange | undefined {
    return this.#lock(ref, 'exclusive')
  }

  #lock(ref: string, access: RangeAccess): HeldRange | undefined {
    return tryRangeLock(this.#layout.buildLocks, buildRange(ref), access)
  }
}

/** The byte of the locks of builds that stands for one. */
export function buildRange(ref: string): number {
  return rangeOf(shortHash(ref))
}

function lookUp(path: string): Stats | undefined {
  return onDiskSync('look up', path, () => unlessErrnoSync(['ENOENT', 'ENOTDIR'], () => statSync(path)))
}

/** As {@link BuildStore.isRunning}: those who read share its byte. Writes nothing. */
export function isBuildRunning({ locks }: Layout, ref: string): boolean {
  return isRangeHeld(join(locks, 'builds'), rangeOf(shortHash(ref)))
}

/** Of a tree that may change meanwhile. */
function sizeOf(path: string): number {
  const own = statSync(path, { throwIfNoEntry: false })
  if (own === undefined) return 0
  const names = own.isDirectory() ? (unlessErrnoSync(['ENOENT'], () => readdirSync(path)) ?? []) : []
  return names.reduce((sum, name) => sum + sizeOf(join(path, name)), own.blocks * blockBytes)
}
