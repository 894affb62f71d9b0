import { statSync, writeFileSync } from 'node:fs'
import { type Digest, digestBytes } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import { readSmallFile, removeFile, renameOver } from './disk.ts'
import { onDisk, onDiskSync } from './fs-failure.ts'
import type { Layout } from './layout.ts'
import type { Session } from './session.ts'

/**
 * Lists of files in `v1/files`. They only explain a cache miss, so they are not synced on their own: one that a power
 * cut damaged counts as missing when it is read, and is written anew when it comes again.
 */
export class FileLists {
  readonly #layout: Layout
  readonly #session: Session

  constructor(layout: Layout, session: Session) {
    this.#layout = layout
    this.#session = session
  }

  /** Keeps a list. @throws {InternalError} `ERR_INTERNAL` if the text has another digest */
  async put(digest: Digest, text: Uint8Array): Promise<void> {
    const path = this.#layout.fileList(digest)
    await onDisk('write', path, async () => {
      if (statSync(path, { throwIfNoEntry: false })?.size === text.length) return
      if (digestBytes(text) !== digest) {
        throw new InternalError(
          'ERR_INTERNAL',
          `Cannot keep file list ${digest}: its text has another digest`,
        )
      }
      const temporary = this.#session.temporaryFile()
      try {
        writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 })
        renameOver(temporary, path, () => this.#session.temporaryFile())
      } catch (error) {
        removeFile(temporary)
        throw error
      }
    })
  }

  /** A list; undefined where it is missing or damaged. */
  async get(digest: Digest): Promise<string | undefined> {
    const path = this.#layout.fileList(digest)
    const bytes = onDiskSync('read', path, () => readSmallFile(path))
    return bytes !== undefined && digestBytes(bytes) === digest ? bytes.toString() : undefined
  }
}
