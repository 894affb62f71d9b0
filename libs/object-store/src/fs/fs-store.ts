import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, link, lstat, open, rename, rm, unlink, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import type { Locks } from '@tsbuild/store'
import { errnoOf, makeDirectories } from '@tsbuild/store'
import {
  boundsOf,
  diskFailure,
  onDisk,
  storeIsClosed,
  throwIfCancelled,
  unlessErrno,
  valueTooLarge,
} from '../failures.ts'
import { parseObjectKey, parseObjectPrefix } from '../object-key.ts'
import type { ObjectBody, ObjectInfo, ObjectKey, ObjectStore, OpenObjectStore } from '../types.ts'
import { maxCasBytes } from '../types.ts'
import { destroySource, isSourceFile } from '../verify.ts'
import type { Directories } from './directories.ts'
import type { FsLayout } from './layout.ts'
import { walk } from './list.ts'
import { isElsewhere, type Staged, secondsOf, type Temporaries, versionOf } from './temporaries.ts'

/** Longer than a tick of the clock that gives files their time of birth. */
const inodeRestMs = 50
/** Files that {@link ObjectStore.list} asks for at once. */
const statsAtOnce = 32

/** What a {@link FsStore} works with. */
export interface FsStoreParts {
  readonly layout: FsLayout
  readonly temporaries: Temporaries
  readonly directories: Directories
  readonly locks: Locks
  readonly now: () => number
}

/**
 * {@link OpenObjectStore} in a directory. An object appears by link(2), which never replaces, after its bytes were verified and
 * synced; the directory is synced before the call resolves. Whoever changes an object that is there (its times, its value, its being
 * there) holds the lock of its key.
 */
export class FsStore implements OpenObjectStore {
  readonly kind = 'fs'
  readonly exclusion = 'machine'
  readonly scratch: string
  readonly #layout: FsLayout
  readonly #temporaries: Temporaries
  readonly #directories: Directories
  readonly #locks: Locks
  readonly #now: () => number
  readonly #calls = new Set<Promise<unknown>>()
  readonly #resting = new Set<Promise<void>>()
  #closed = false

  constructor({ layout, temporaries, directories, locks, now }: FsStoreParts) {
    this.scratch = layout.scratch
    this.#layout = layout
    this.#temporaries = temporaries
    this.#directories = directories
    this.#locks = locks
    this.#now = now
  }

  async putIfAbsent(
    ...[key, source, expected, options]: Parameters<ObjectStore['putIfAbsent']>
  ): Promise<boolean> {
    try {
      return await this.#call(async () => {
        const path = this.#pathOf(key, options?.signal)
        const isNew = !(await this.#touch(key, path)) && (await this.#putNew(key, source, expected, options))
        await this.#directories.sync(dirname(path))
        if (isSourceFile(source)) await rm(source.path, { force: true })
        return isNew
      })
    } finally {
      destroySource(source)
    }
  }

  /** @returns false where somebody else has put it meanwhile */
  async #putNew(
    ...[key, source, expected, options]: Parameters<ObjectStore['putIfAbsent']>
  ): Promise<boolean> {
    const path = this.#layout.object(key)
    const staged = await this.#stage(key, source, expected, options)
    if (!isSourceFile(source)) return this.#nameAndForget(key, staged)
    try {
      return await this.#name(key, staged, path)
    } catch (error) {
      if (!isElsewhere(error)) throw diskFailure(error, 'write object', path)
      const copy = await this.#temporaries.copy(key, source.path, expected, options?.signal)
      return this.#nameAndForget(key, copy)
    }
  }

  /** What was deleted a moment ago still takes its room: who finds none waits for that. A stream can be read once only. */
  async #stage(...[key, source, expected, options]: Parameters<ObjectStore['putIfAbsent']>): Promise<Staged> {
    const stage = () => this.#temporaries.stage(key, source, expected, options?.signal)
    try {
      return await stage()
    } catch (error) {
      const isFull = isBuildError(error) && error.code === 'ERR_STORE_NO_SPACE'
      if (!isFull || this.#resting.size === 0 || source instanceof Readable) throw error
      await Promise.allSettled(this.#resting)
      return await stage()
    }
  }

  async #nameAndForget(key: ObjectKey, staged: Staged): Promise<boolean> {
    const path = this.#layout.object(key)
    try {
      return await onDisk('write object', path, () => this.#name(key, staged, path))
    } finally {
      await rm(staged.path, { force: true })
    }
  }

  async #name(key: ObjectKey, staged: Staged, path: string): Promise<boolean> {
    for (;;) {
      if (await this.#link(staged.path, path)) return true
      // It may be deleted between the two.
      if (await this.#touch(key, path)) return false
    }
  }

  /** @returns false where something has the name */
  async #link(from: string, path: string): Promise<boolean> {
    for (;;) {
      try {
        await link(from, path)
        return true
      } catch (error) {
        const errno = errnoOf(error)
        if (errno === 'EEXIST') return false
        if (errno !== 'ENOENT') throw error
        // The directory is not there yet, or was removed because it was empty.
        await lstat(from)
        await makeDirectories(dirname(path), 0o700)
      }
    }
  }

  /** Whoever holds the lock of the key to delete it sees the new time, or is waited for. @returns whether it is there */
  async #touch(key: ObjectKey, path: string, earlierThan = Number.POSITIVE_INFINITY): Promise<boolean> {
    const stat = await this.#stat(path)
    if (stat === undefined) return false
    if (Number(stat.mtimeMs) >= earlierThan) return true
    return this.#locks.withLock(key, async () => {
      const seconds = secondsOf(this.#now())
      const touched = onDisk('touch object', path, () =>
        unlessErrno(['ENOENT'], async () => {
          await utimes(path, seconds, seconds)
          return true
        }),
      )
      return (await touched) ?? false
    })
  }

  get(...[key, options]: Parameters<ObjectStore['get']>): Promise<ObjectBody | undefined> {
    return this.#call(async () => {
      const path = this.#pathOf(key, options?.signal)
      return onDisk('read object', path, async () => {
        const file = await unlessErrno(['ENOENT', 'ENOTDIR', 'ELOOP'], () =>
          open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
        )
        if (file === undefined) return undefined
        try {
          const stat = await file.stat({ bigint: true })
          if (stat.isFile()) return bodyOf(key, path, file, stat, options?.range)
        } catch (error) {
          await file.close()
          throw error
        }
        await file.close()
        return undefined
      })
    })
  }

  head(...[key, options]: Parameters<ObjectStore['head']>): Promise<ObjectInfo | undefined> {
    return this.#call(async () => {
      const path = this.#pathOf(key, options?.signal)
      const { touchBefore } = options ?? {}
      if (touchBefore !== undefined && !(await this.#touch(key, path, touchBefore))) return undefined
      const stat = await this.#stat(path)
      return stat === undefined ? undefined : infoOf(key, stat)
    })
  }

  async *list(...[prefix, options]: Parameters<ObjectStore['list']>): AsyncGenerator<ObjectInfo> {
    const wanted = {
      prefix: parseObjectPrefix(prefix),
      after: options?.after === undefined ? '' : parseObjectKey(options.after),
    }
    let batch: Promise<ObjectInfo | undefined>[] = []
    const next = async () => {
      if (this.#closed) throw storeIsClosed(this.kind)
      throwIfCancelled(options?.signal, 'list objects')
      const infos = await Promise.all(batch)
      batch = []
      return infos.filter((info) => info !== undefined)
    }
    yield* await next()
    for await (const { key, path } of walk(this.#layout.objects, '', wanted)) {
      batch.push(this.#stat(path).then((stat) => stat && infoOf(key, stat)))
      if (batch.length === statsAtOnce) yield* await next()
    }
    yield* await next()
  }

  delete(...[key, ifUnmodified, options]: Parameters<ObjectStore['delete']>): Promise<boolean> {
    return this.#call(async () => {
      const path = this.#pathOf(key, options?.signal)
      const lockOptions = { signal: options?.signal }
      const outcome = await this.#locks.withLock(
        key,
        async () => {
          const stat = await this.#stat(path)
          if (stat === undefined) return true
          if (ifUnmodified !== undefined) {
            const { version, notAfterMs = Number.POSITIVE_INFINITY } = ifUnmodified
            if (versionOf(stat) !== version || Number(stat.mtimeMs) > notAfterMs) return false
          }
          await onDisk('delete object', path, async () => {
            await this.#rest(path)
            await unlink(path)
          })
          return true
        },
        lockOptions,
      )
      if (outcome) await this.#forget(path)
      return outcome
    })
  }

  cas(...[key, old, value, options]: Parameters<ObjectStore['cas']>): ReturnType<ObjectStore['cas']> {
    return this.#call(async () => {
      const path = this.#pathOf(key, options?.signal)
      if (value !== null && value.length > maxCasBytes) throw valueTooLarge(key, value.length, maxCasBytes)
      if ((await this.#versionAt(path)) !== old) return undefined
      const staged = value === null ? undefined : await this.#temporaries.stageValue(value)
      try {
        const won = await this.#locks.withLock(key, () => this.#replace(path, old, staged), options ?? {})
        if (!won) return undefined
      } finally {
        if (staged !== undefined) await rm(staged.path, { force: true })
      }
      if (staged === undefined) await this.#forget(path)
      else await this.#directories.sync(dirname(path))
      return { version: staged?.version ?? null }
    })
  }

  /** With the lock of the key. */
  async #replace(path: string, old: string | null, staged: Staged | undefined): Promise<boolean> {
    if ((await this.#versionAt(path)) !== old) return false
    return onDisk('replace object', path, async () => {
      if (old === null) return staged === undefined || (await this.#link(staged.path, path))
      await this.#rest(path)
      if (staged === undefined) await unlink(path)
      else await rename(staged.path, path)
      return true
    })
  }

  /** Keeps a file that loses its name for a while: until then its inode number, which is part of its version, is no other file's. */
  async #rest(path: string): Promise<void> {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const resting = delay(inodeRestMs).then(() => file.close())
    this.#resting.add(resting)
    const done = () => this.#resting.delete(resting)
    resting.then(done, done)
  }

  async #versionAt(path: string): Promise<string | null> {
    const stat = await this.#stat(path)
    return stat === undefined ? null : versionOf(stat)
  }

  /** Makes it durable that an object is gone. */
  async #forget(path: string): Promise<void> {
    await this.#directories.sync(dirname(path))
    await this.#directories.prune(dirname(path))
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#call(async () => {
      throwIfCancelled(signal, 'probe the object store')
      const written = Buffer.from(`probe ${this.#now()}`)
      const { path } = await this.#temporaries.stageValue(written)
      await onDisk('probe', path, async () => {
        const file = await open(path, 'r')
        try {
          const read = await file.readFile()
          if (read.equals(written)) return
          throw new EnvironmentError(
            'ERR_STORE_IO',
            `Cannot read back ${JSON.stringify(path)}: it has other bytes`,
          )
        } finally {
          await file.close()
          await rm(path, { force: true })
        }
      })
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.allSettled(this.#calls)
    await Promise.allSettled(this.#resting)
    await this.#temporaries.close()
  }

  #pathOf(key: string, signal: AbortSignal | undefined): string {
    throwIfCancelled(signal, 'use the object store')
    return this.#layout.object(parseObjectKey(key))
  }

  async #call<T>(body: () => Promise<T>): Promise<T> {
    if (this.#closed) throw storeIsClosed(this.kind)
    const running = body()
    this.#calls.add(running)
    try {
      return await running
    } finally {
      this.#calls.delete(running)
    }
  }

  /** Undefined where there is no regular file. */
  async #stat(path: string): Promise<BigIntStats | undefined> {
    const stat = await onDisk('look up object', path, () =>
      unlessErrno(['ENOENT', 'ENOTDIR'], () => lstat(path, { bigint: true })),
    )
    return stat?.isFile() === true ? stat : undefined
  }
}

function infoOf(key: ObjectKey, stat: BigIntStats): ObjectInfo {
  return { key, size: Number(stat.size), version: versionOf(stat), modifiedMs: Number(stat.mtimeMs) }
}

function bodyOf(
  key: ObjectKey,
  path: string,
  file: FileHandle,
  stat: BigIntStats,
  range: Parameters<typeof boundsOf>[2],
): ObjectBody {
  const info = infoOf(key, stat)
  const { start, end } = boundsOf(key, info.size, range)
  return { info, path, stream: readFrom(file, path, start, end) }
}

/** The descriptor is closed when the stream is. */
function readFrom(file: FileHandle, path: string, start: number, end: number): Readable {
  const pieceBytes = 256 * 1024
  let position = start
  return new Readable({
    highWaterMark: pieceBytes,
    read() {
      const wanted = Math.min(pieceBytes, end - position)
      if (wanted === 0) {
        this.push(null)
        return
      }
      file.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, position).then(
        ({ bytesRead, buffer }) => {
          position += bytesRead
          if (bytesRead > 0) this.push(buffer.subarray(0, bytesRead))
          else
            this.destroy(
              new EnvironmentError(
                'ERR_STORE_CORRUPT',
                `Cannot read ${JSON.stringify(path)}: it ends at ${position}`,
              ),
            )
        },
        (error: unknown) => {
          const failure = diskFailure(error, 'read object', path)
          this.destroy(failure instanceof Error ? failure : new Error(String(failure)))
        },
      )
    },
    destroy(error, callback) {
      file.close().then(
        () => callback(error),
        (closing: Error) => callback(error ?? closing),
      )
    },
  })
}
