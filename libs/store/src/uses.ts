import { statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isBuildError } from '@tsbuild/errors'
import { errnoOf } from './fs-failure.ts'
import { type Layout, shortHash } from './layout.ts'
import { type HeldRange, rangeOf, SharedRanges, tryRangeLock } from './range-lock.ts'

/** `usedMs` of an entry is right to this; older marks are renewed. */
const touchAfterMs = 60_000

/**
 * What this opening of the store has found and may be using: a shared kernel lock on a byte of `v1/locks/uses` for each
 * snapshot, blob and source. Who deletes one takes its byte exclusively, so what is used stays, and what dies uses nothing.
 * The byte is taken before one looks: what is there then stays there.
 */
export class Uses {
  /** The lock file. */
  readonly path: string
  readonly #now: () => number
  #ranges: SharedRanges | undefined
  #readOnly = false

  constructor(layout: Layout, now: () => number) {
    this.path = join(layout.locks, 'uses')
    this.#now = now
  }

  /**
   * Keeps a thing from being deleted until {@link Uses.release}.
   *
   * @param id hex digits, random ones or a hash
   * @returns false where somebody is deleting it: it counts as gone
   */
  hold(id: string): boolean {
    if (this.#readOnly) return true
    try {
      this.#ranges ??= new SharedRanges(this.path)
      return this.#ranges.hold(rangeOf(id))
    } catch (error) {
      // Where nobody can write, nobody deletes.
      if (!isReadOnly(error)) throw error
      this.#readOnly = true
      return true
    }
  }

  /**
   * As {@link Uses.hold}, for who is about to give a thing its name: a deletion under way is waited for, or it would take the
   * new one. It is one system call long.
   */
  async holdSurely(id: string): Promise<void> {
    while (!this.hold(id)) await setTimeout(1)
  }

  /** As {@link Uses.hold}, for what has a name of any form. */
  holdName(name: string): boolean {
    return this.hold(shortHash(name))
  }

  /** For who deletes. @returns undefined while somebody, of this process too, uses it */
  tryTake(id: string): HeldRange | undefined {
    return tryRangeLock(this.path, rangeOf(id))
  }

  /** As {@link Uses.tryTake}. */
  tryTakeName(name: string): HeldRange | undefined {
    return this.tryTake(shortHash(name))
  }

  /** Says that what a marker stands for was found, for the choice of what to delete first. Best effort. */
  note(marker: string, mtimeMs: number): void {
    const now = this.#now()
    if (Math.abs(now - mtimeMs) < touchAfterMs) return
    try {
      utimesSync(marker, now / 1000, now / 1000)
    } catch {
      // A date that is too old costs a rebuild at most.
    }
  }

  /** As {@link Uses.note}, for who did not look at the marker. */
  noteFile(marker: string): void {
    const stat = statSync(marker, { throwIfNoEntry: false })
    if (stat !== undefined) this.note(marker, stat.mtimeMs)
  }

  /** Lets go of everything. */
  release(): void {
    this.#ranges?.close()
    this.#ranges = undefined
  }
}

function isReadOnly(error: unknown): boolean {
  const cause = isBuildError(error) ? error.cause : error
  return ['EROFS', 'EACCES', 'EPERM'].includes(errnoOf(cause) ?? '')
}
