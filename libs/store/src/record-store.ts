import { type Digest, digestHex } from '@tsbuild/digest'
import { readDated, readSmallFile } from './disk.ts'
import { onDiskSync } from './fs-failure.ts'
import type { GroupCommit } from './group-commit.ts'
import type { Layout } from './layout.ts'
import { unsealedText } from './seal.ts'
import type { RecordStore, RecordWrite } from './types.ts'
import type { Uses } from './uses.ts'

/** {@link RecordStore} in `v1/records`. */
export class DirectoryRecordStore implements RecordStore {
  readonly #layout: Layout
  readonly #commits: GroupCommit

  readonly #uses: Uses

  constructor(layout: Layout, commits: GroupCommit, uses: Uses) {
    this.#layout = layout
    this.#commits = commits
    this.#uses = uses
  }

  get(key: Digest): string | undefined {
    const { path } = this.#layout.record(key)
    const read = onDiskSync('read record', path, () => readDated(path))
    // An empty file is what a power cut leaves of one that a careless copy of the store made.
    if (read === undefined || read.bytes.length === 0) return undefined
    const text = unsealedText(digestHex(key), read.bytes)
    if (text !== undefined) this.#uses.note(path, read.mtimeMs)
    return text
  }

  peek(key: Digest): { readonly text: string | undefined } | undefined {
    const { path } = this.#layout.record(key)
    const bytes = onDiskSync('read record', path, () => readSmallFile(path))
    return bytes && { text: bytes.length === 0 ? undefined : unsealedText(digestHex(key), bytes) }
  }

  async put(records: readonly RecordWrite[]): Promise<void> {
    if (records.length > 0) await this.#commits.enqueue({ records })
  }
}
