import { mkdirSync, readdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { readSmallFile } from './disk.ts'
import { onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import { isBuildRef, type Layout, shortHash } from './layout.ts'
import { type HeldRange, type RangeAccess, rangeOf, tryRangeLock } from './range-lock.ts'
import { seal, unsealedText } from './seal.ts'
import type { Session } from './session.ts'
import type { FailureStore, KeptFailure, Locks, StoreOptions } from './types.ts'

/** What the failure store works with. */
export interface FailureStoreParts {
  readonly layout: Layout
  readonly session: Session
  readonly locks: Locks
  readonly options: Pick<StoreOptions, 'now' | 'removeTrees'>
  /** Kept of a store; older ones go when a new one comes. */
  readonly newest: number
}

/** A failure as it lies in the directory. */
interface Entry {
  readonly ref: string
  /** When it was kept; undefined for one without its file, which only a power cut leaves. */
  readonly keptMs: number | undefined
}

/** {@link FailureStore} in `v1/failures`. Stores that are older than it get the directory when it is needed. */
export class DirectoryFailureStore implements FailureStore {
  readonly #parts: FailureStoreParts
  #removal: Promise<void> = Promise.resolve()

  constructor(parts: FailureStoreParts) {
    this.#parts = parts
  }

  list(): readonly KeptFailure[] {
    return this.#entries().flatMap(({ ref }) => this.#read(ref) ?? [])
  }

  async use<T>(
    ref: string,
    body: (failure: KeptFailure) => Promise<T>,
  ): Promise<{ readonly value: T } | undefined> {
    if (!isBuildRef(ref)) return undefined
    // The lock is held exclusively for no longer than one rename takes, and then there is no failure any more.
    const held = this.#lock(ref, 'shared')
    if (held === undefined) return undefined
    try {
      const failure = this.#read(ref)
      return failure === undefined ? undefined : { value: await body(failure) }
    } finally {
      held.release()
    }
  }

  /**
   * Gives the directory of a draft a failure's name: it is there whole or not at all.
   * @returns whether it was done; the first failure of a ref stays
   */
  async take(directory: string, ref: string, text: string): Promise<boolean> {
    const { layout, locks, options } = this.#parts
    if (!isBuildRef(ref)) throw new RangeError(`Cannot keep failure ${JSON.stringify(ref)}`)
    const target = layout.failure(ref).directory
    const marker = join(directory, basename(layout.failure(ref).marker))
    const taken = onDiskSync('keep', target, () => {
      mkdirSync(layout.failures, { recursive: true, mode: 0o700 })
      writeFileSync(marker, seal(ref, text), { flag: 'wx', mode: 0o600 })
      // The order of failures is that of these times.
      utimesSync(marker, options.now() / 1000, options.now() / 1000)
      return unlessErrnoSync(['EEXIST', 'ENOTEMPTY'], () => renameSync(directory, target) ?? true) ?? false
    })
    if (taken) {
      // Best effort: it is kept, and the next one tries again.
      await locks.withLock('failures', async () => this.#trim()).catch(() => {})
    }
    return taken
  }

  /** For who deletes it. @returns undefined while somebody looks around in it */
  tryTake(ref: string): HeldRange | undefined {
    return this.#lock(ref, 'exclusive')
  }

  /** Resolves when the trees of older failures are deleted; never rejects. */
  async settled(): Promise<void> {
    await this.#removal
  }

  /** Moves what is too old out of sight; the trees are deleted while the build goes on. */
  #trim(): void {
    const { layout, session, options, newest } = this.#parts
    const old = this.#entries().slice(newest)
    if (old.length === 0) return
    const scratch = session.scratch()
    for (const { ref } of old) {
      // Somebody looks around in it.
      const held = this.#lock(ref, 'exclusive')
      if (held === undefined) continue
      try {
        const { directory } = layout.failure(ref)
        onDiskSync('remove', directory, () => renameSync(directory, join(scratch, ref)))
      } finally {
        held.release()
      }
    }
    // What cannot be deleted now goes with the session.
    const remove = () => options.removeTrees([scratch]).catch(() => {})
    this.#removal = this.#removal.then(remove)
  }

  /** Newest first; two of one instant by name. */
  #entries(): readonly Entry[] {
    const { layout } = this.#parts
    const names = onDiskSync('read', layout.failures, () =>
      unlessErrnoSync(['ENOENT'], () => readdirSync(layout.failures)),
    )
    const entries = (names ?? []).filter(isBuildRef).map((ref): Entry => {
      const { marker } = layout.failure(ref)
      const stats = onDiskSync('look up', marker, () => statSync(marker, { throwIfNoEntry: false }))
      return { ref, keptMs: stats?.mtimeMs }
    })
    return entries.sort((a, b) => (b.keptMs ?? 0) - (a.keptMs ?? 0) || (a.ref < b.ref ? -1 : 1))
  }

  #read(ref: string): KeptFailure | undefined {
    const { fs, marker } = this.#parts.layout.failure(ref)
    const bytes = onDiskSync('read', marker, () => readSmallFile(marker))
    const text = unsealedText(ref, bytes)
    return text === undefined ? undefined : { ref, path: fs, text }
  }

  #lock(ref: string, access: RangeAccess): HeldRange | undefined {
    const path = join(this.#parts.layout.locks, 'failures')
    return tryRangeLock(path, rangeOf(shortHash(ref)), access)
  }
}
