import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestHex, digestKey } from '@tsbuild/digest'
import { isObject } from './descriptor-json.ts'
import { type Disk, readSmallFile, removeFile } from './disk.ts'
import { onDisk, onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import { type CacheMountPaths, isCacheMountNumber, type Layout, shortHash } from './layout.ts'
import { acquireRange } from './locks.ts'
import { type HeldRange, type RangeAccess, rangeOf, tryRangeLock } from './range-lock.ts'
import { seal, unsealedText } from './seal.ts'
import type { Session } from './session.ts'
import type {
  CacheMount,
  CacheMountName,
  CacheMountRequest,
  CacheMountStore,
  LockOptions,
  Locks,
  Removal,
  StoreOptions,
} from './types.ts'

/** The scope that the others take a copy of. */
const mainScope = 'main'

/** What the store of cache mounts works with. */
export interface CacheMountStoreParts {
  readonly layout: Layout
  readonly disk: Disk
  readonly session: Session
  readonly locks: Locks
  readonly options: Pick<StoreOptions, 'now' | 'removeTrees'>
}

/** A directory of a name, and the lock that keeps it from being deleted. */
interface Held {
  readonly paths: CacheMountPaths
  readonly lock: HeldRange
}

/**
 * {@link CacheMountStore} in `v1/mounts/<hash of the name>/<number>/`. Each directory has a byte of `v1/locks/mounts`: whoever
 * uses it holds that byte, shared or exclusively, so that what died holds nothing. A name has a lock of its own for the time
 * in which its directories are listed, made and given up. Directories are waited for without it, except for the one of `main`
 * that a new one of another scope is a copy of: those who work in `main` wait for nobody in another scope.
 */
export class DirectoryCacheMountStore implements CacheMountStore {
  readonly #parts: CacheMountStoreParts

  constructor(parts: CacheMountStoreParts) {
    this.#parts = parts
  }

  async open(request: CacheMountRequest, options: LockOptions = {}): Promise<CacheMount> {
    const name = nameHash(request)
    let isFresh = request.fresh === true
    for (;;) {
      const found = await this.#underLock(name, options, async () => {
        if (isFresh) this.#retireAll(name)
        await this.#clearRetired(name)
        return await this.#openOrMake(request, name, isFresh, options)
      })
      isFresh = false
      if (!('number' in found)) return this.#opened(request, found)
      const { paths, lock } = await this.#wait(name, found.number, options)
      // It may have been given up in the meantime, and then there is another one.
      if (isLive(paths)) return this.#opened(request, { paths, lock })
      lock.release()
    }
  }

  /**
   * Takes a directory away that nobody uses or waits for.
   * @param id `<name>/<number>`
   * @param moveAway takes it out of sight
   */
  async remove(id: string, moveAway: (path: string) => Removal): Promise<Removal> {
    const [name, number] = id.split('/')
    if (name === undefined || number === undefined || !isCacheMountNumber(number)) return 'gone'
    return await this.#underLock(name, {}, async () => {
      const lock = this.#tryLock(name, Number(number), 'exclusive')
      if (lock === undefined) return 'in-use'
      try {
        return moveAway(this.#paths(name, Number(number)).directory)
      } finally {
        lock.release()
      }
    })
  }

  /** What a sharing mode can have without waiting; else the number of the directory to wait for. */
  async #openOrMake(
    request: CacheMountRequest,
    name: string,
    isFresh: boolean,
    options: LockOptions,
  ): Promise<Held | { readonly number: number }> {
    const live = this.#live(name)
    const [first] = live
    // The others take the next one where one is in use; a locked one is the same for everybody.
    const tried = request.sharing === 'locked' ? live.slice(0, 1) : live
    for (const number of tried) {
      const lock = this.#tryLock(name, number, accessOf(request))
      if (lock !== undefined) return { paths: this.#paths(name, number), lock }
    }
    if (request.sharing === 'locked' && first !== undefined) return { number: first }
    return await this.#make(request, name, isFresh, options)
  }

  /** A directory that has its name when it is complete and held. */
  async #make(
    request: CacheMountRequest,
    name: string,
    isFresh: boolean,
    waiting: LockOptions,
  ): Promise<Held> {
    const { layout, disk, session, options } = this.#parts
    const draft = session.scratch()
    const seed = isFresh ? undefined : await this.#seed(request, waiting)
    const { paths, lock } = this.#reserve(name, accessOf(request))
    try {
      await request.make(draft, seed?.paths.directory)
      await onDisk('make cache mount', paths.directory, async () => {
        const text = seal(String(paths.number), this.#metaText(request))
        writeFileSync(join(draft, 'meta.json'), text, { flag: 'wx', mode: 0o600 })
        await disk.syncTree(layout.root)
        const ofName = layout.cacheMounts(name)
        mkdirSync(ofName, { recursive: true, mode: 0o700 })
        renameSync(draft, paths.directory)
        await disk.syncDirectories([ofName, layout.mounts])
      })
    } catch (error) {
      lock.release()
      await options.removeTrees([draft])
      throw error
    } finally {
      seed?.lock.release()
    }
    return { paths, lock }
  }

  /** The directory of the main scope that a new one of another scope is a copy of; nobody writes to it while it is held. */
  async #seed(request: CacheMountRequest, options: LockOptions): Promise<Held | undefined> {
    if (request.scope === mainScope) return undefined
    const name = nameHash({ ...request, scope: mainScope })
    for (;;) {
      const [first] = this.#live(name)
      if (first === undefined) return undefined
      const held = await this.#wait(name, first, options)
      if (isLive(held.paths)) return held
      held.lock.release()
    }
  }

  async #wait(name: string, number: number, options: LockOptions): Promise<Held> {
    const { layout } = this.#parts
    const lock = await acquireRange(layout.mountLocks, lockName(name, number), 'exclusive', options)
    return { paths: this.#paths(name, number), lock }
  }

  #opened(request: CacheMountRequest, { paths, lock }: Held): CacheMount {
    try {
      this.#noteUse(request, paths)
    } catch (error) {
      lock.release()
      throw error
    }
    return {
      path: paths.fs,
      release: async () => {
        lock.release()
        await this.#clearIfRetired(nameHash(request), paths)
      },
    }
  }

  /** For people and for the choice of what to delete first. Not durable: a lost date is an older one. */
  #noteUse(request: CacheMountRequest, { meta, number }: CacheMountPaths): void {
    const temporary = this.#parts.session.temporaryFile()
    onDiskSync('write', meta, () => {
      const known = unsealedText(String(number), readSmallFile(meta))
      const text = seal(String(number), this.#metaText(request, createdMs(known)))
      try {
        writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 })
        renameSync(temporary, meta)
      } catch (error) {
        removeFile(temporary)
        throw error
      }
    })
  }

  #metaText({ id, scope, base }: CacheMountName, created?: number): string {
    const now = this.#parts.options.now()
    return `${JSON.stringify({ id, scope, base, createdMs: created ?? now, usedMs: now })}\n`
  }

  /** New readers get another directory; who has one of these keeps it, and the last one deletes it. */
  #retireAll(name: string): void {
    for (const number of this.#live(name)) {
      const { retired } = this.#paths(name, number)
      onDiskSync('write', retired, () => writeFileSync(retired, '', { mode: 0o600 }))
    }
  }

  async #clearRetired(name: string): Promise<void> {
    for (const number of this.#numbers(name)) await this.#clearIfRetired(name, this.#paths(name, number))
  }

  /** Moves it away first: half a directory must not look like a whole one, and what dies here is swept with its session. */
  async #clearIfRetired(name: string, paths: CacheMountPaths): Promise<void> {
    if (!exists(paths.retired)) return
    const lock = this.#tryLock(name, paths.number, 'exclusive')
    if (lock === undefined) return
    const { session, options } = this.#parts
    try {
      if (!exists(paths.retired)) return
      const doomed = session.scratch()
      onDiskSync('delete cache mount', paths.directory, () =>
        renameSync(paths.directory, join(doomed, 'mount')),
      )
      await options.removeTrees([doomed])
    } finally {
      lock.release()
    }
  }

  #underLock<T>(name: string, options: LockOptions, body: () => Promise<T>): Promise<T> {
    return this.#parts.locks.withLock(`cache mount ${name}`, body, options)
  }

  #tryLock(name: string, number: number, access: RangeAccess): HeldRange | undefined {
    return tryRangeLock(this.#parts.layout.mountLocks, cacheMountRange(lockName(name, number)), access)
  }

  #paths(name: string, number: number): CacheMountPaths {
    return this.#parts.layout.cacheMount(name, number)
  }

  /** In ascending order. */
  #live(name: string): readonly number[] {
    return this.#numbers(name).filter((number) => isLive(this.#paths(name, number)))
  }

  #numbers(name: string): readonly number[] {
    const path = this.#parts.layout.cacheMounts(name)
    const entries = onDiskSync('read', path, () => unlessErrnoSync(['ENOENT'], () => readdirSync(path))) ?? []
    return entries
      .filter(isCacheMountNumber)
      .map(Number)
      .toSorted((a, b) => a - b)
  }

  /** A number that nobody has, nor waits for: who waited for a directory that is gone holds its number for a moment. */
  #reserve(name: string, access: RangeAccess): Held {
    for (let number = (this.#numbers(name).at(-1) ?? -1) + 1; ; number += 1) {
      const lock = this.#tryLock(name, number, access)
      if (lock !== undefined) return { paths: this.#paths(name, number), lock }
    }
  }
}

/*
 * The name of a cache mount: SHA-256 of the domain `tsbuild.mount.v1`, a line feed, and the canonical JSON of base, id and
 * scope. No part of it is ever a path.
 */
function nameHash({ scope, id, base }: CacheMountName): string {
  return digestHex(digestKey('tsbuild.mount.v1', { base, id, scope }))
}

/** The byte of `v1/locks/mounts` that stands for a directory. @param id `<name>/<number>` */
export function cacheMountRange(id: string): number {
  return rangeOf(shortHash(id))
}

function lockName(name: string, number: number): string {
  return `${name}/${number}`
}

function accessOf({ sharing }: CacheMountRequest): RangeAccess {
  return sharing === 'shared' ? 'shared' : 'exclusive'
}

function isLive({ directory, retired }: CacheMountPaths): boolean {
  return exists(directory) && !exists(retired)
}

function exists(path: string): boolean {
  return onDiskSync('look up', path, () => statSync(path, { throwIfNoEntry: false })) !== undefined
}

/** @returns undefined for what is no metadata of ours */
function createdMs(text: string | undefined): number | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '')
    return isObject(value) && typeof value.createdMs === 'number' ? value.createdMs : undefined
  } catch {
    return undefined
  }
}
