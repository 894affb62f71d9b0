import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { syncDirectory } from './durable-files.ts'
import { onDisk, unlessErrnoSync } from './fs-failure.ts'
import type { StoreOptions } from './types.ts'

/** What makes bytes and names survive a power cut; every method does nothing where durability is `none`. */
export class Disk {
  readonly #full: boolean
  readonly #sync: StoreOptions['sync']

  constructor(options: Pick<StoreOptions, 'durability' | 'sync'>) {
    this.#full = options.durability === 'full'
    this.#sync = options.sync
  }

  /** Everything written so far on the file system of a path. */
  async syncTree(path: string): Promise<void> {
    if (this.#full) await onDisk('make durable', path, () => this.#sync(path))
  }

  /** The bytes of an open file. */
  async syncFile(file: FileHandle): Promise<void> {
    if (this.#full) await file.sync()
  }

  /** The bytes of files that are closed already. */
  async syncPaths(paths: readonly string[]): Promise<void> {
    if (this.#full) await Promise.all(paths.map(syncPath))
  }

  /** The names in directories; each is synced once. */
  async syncDirectories(paths: Iterable<string>): Promise<void> {
    if (!this.#full) return
    await Promise.all(
      [...new Set(paths)].map((path) => onDisk('make durable', path, () => syncDirectory(path))),
    )
  }

  /**
   * Puts a whole new file in the place of an old one: readers see one or the other, also after a power cut.
   * @param temporary gives new paths of the session
   */
  async replaceFile(temporary: () => string, path: string, directory: string, text: string): Promise<void> {
    const draft = temporary()
    await onDisk('write', path, async () => {
      try {
        await this.#writeSynced(draft, text)
        renameOver(draft, path, temporary)
      } catch (error) {
        removeFile(draft)
        throw error
      }
      await this.syncDirectories([directory])
    })
  }

  async #writeSynced(path: string, text: string): Promise<void> {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await this.syncFile(file)
    } finally {
      await file.close()
    }
  }
}

async function syncPath(path: string): Promise<void> {
  await onDisk('make durable', path, async () => {
    const file = await open(path, constants.O_RDONLY)
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  })
}

/**
 * The bytes of a small regular file; undefined where there is none. What took a file's place (a directory, a symbolic
 * link, a FIFO, which would block) counts as none.
 */
export function readSmallFile(path: string): Buffer | undefined {
  return readDated(path)?.bytes
}

/** As {@link readSmallFile}, with the time of its last change, without another look at the path. */
export function readDated(path: string): { readonly bytes: Buffer; readonly mtimeMs: number } | undefined {
  return unlessErrnoSync(['ENOENT', 'ELOOP', 'EISDIR', 'ENXIO', 'ENOTDIR'], () => {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const { mtimeMs } = fstatSync(fd)
      return { bytes: readFileSync(fd), mtimeMs }
    } finally {
      closeSync(fd)
    }
  })
}

/**
 * Gives a file its name in the place of whatever has it. The kernel puts no file in the place of a directory; one that came
 * there by damage is moved to `aside` first.
 */
export function renameOver(temporary: string, path: string, aside: () => string): void {
  const isDirectory = unlessErrnoSync(['EISDIR'], () => renameSync(temporary, path) ?? true) === undefined
  if (!isDirectory) return
  renameSync(path, aside())
  renameSync(temporary, path)
}

/** Removes a file, if it is there. */
export function removeFile(path: string): void {
  unlessErrnoSync(['ENOENT'], () => unlinkSync(path))
}

/** Makes one directory. @returns whether it was not there before */
export function makeDirectory(path: string): boolean {
  return unlessErrnoSync(['EEXIST'], () => mkdirSync(path, 0o700) ?? true) ?? false
}
