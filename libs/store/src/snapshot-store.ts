import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { type Digest, isDigest } from '@tsbuild/digest'
import { isRecord, parseJson } from '@tsbuild/shape'
import { type Disk, readSmallFile } from './disk.ts'
import type { DirectoryFailureStore } from './failure-store.ts'
import { onDiskSync } from './fs-failure.ts'
import type { CommitJob, GroupCommit } from './group-commit.ts'
import { layerText, mergeLayers, parseLayerInfo } from './layer-info.ts'
import type { Layout } from './layout.ts'
import { seal, unsealedText } from './seal.ts'
import type { Session } from './session.ts'
import type {
  DraftCommitOptions,
  LayerInfo,
  SnapshotDraft,
  SnapshotId,
  SnapshotStore,
} from './snapshot-types.ts'
import type { Locks, RecordWrite, StoreOptions } from './types.ts'
import type { Uses } from './uses.ts'

/** What the snapshot store works with. */
export interface SnapshotStoreParts {
  readonly layout: Layout
  readonly disk: Disk
  readonly session: Session
  readonly commits: GroupCommit
  readonly locks: Locks
  readonly failures: DirectoryFailureStore
  readonly uses: Uses
  readonly options: Pick<StoreOptions, 'now' | 'removeTrees'>
}

/** {@link SnapshotStore} in `v1/snapshots`. */
export class DirectorySnapshotStore implements SnapshotStore {
  readonly #parts: SnapshotStoreParts

  constructor(parts: SnapshotStoreParts) {
    this.#parts = parts
  }

  async draft(): Promise<SnapshotDraft> {
    const { layout, session, uses } = this.#parts
    const id = session.noteDraft()
    uses.hold(id)
    const paths = layout.snapshot(id)
    onDiskSync('make directory', paths.directory, () => {
      mkdirSync(paths.directory, 0o700)
      mkdirSync(paths.fs)
      // It may become the root directory of an image, which the umask of our caller must not change.
      chmodSync(paths.fs, 0o755)
      mkdirSync(paths.work, 0o700)
    })
    return new Draft(id, this.#parts)
  }

  path(id: SnapshotId): string {
    return this.#parts.layout.snapshot(id).fs
  }

  has(id: SnapshotId): boolean {
    const { layout, uses } = this.#parts
    if (!uses.hold(id)) return false
    const { marker } = layout.snapshot(id)
    const stat = onDiskSync('look up', marker, () => statSync(marker, { throwIfNoEntry: false }))
    if (stat !== undefined) uses.note(marker, stat.mtimeMs)
    return stat !== undefined
  }

  layer(id: SnapshotId): LayerInfo | undefined {
    const { layer } = this.#parts.layout.snapshot(id)
    const bytes = onDiskSync('read', layer, () => readSmallFile(layer))
    const text = unsealedText(id, bytes)
    return text === undefined ? undefined : parseLayerInfo(text)
  }

  content(id: SnapshotId): Digest | undefined {
    const { marker } = this.#parts.layout.snapshot(id)
    const bytes = onDiskSync('read', marker, () => readSmallFile(marker))
    const text = unsealedText(id, bytes)
    const value = text === undefined ? undefined : parseJson(text)
    const content = isRecord(value) ? value.content : undefined
    return typeof content === 'string' && isDigest(content) ? content : undefined
  }

  async setLayer(id: SnapshotId, layer: LayerInfo): Promise<void> {
    const { layout, disk, session, locks } = this.#parts
    const paths = layout.snapshot(id)
    await locks.withLock(`layer/${id}`, async () => {
      const merged = mergeLayers(this.layer(id), layer)
      const text = seal(id, layerText(merged))
      await disk.replaceFile(() => session.temporaryFile(), paths.layer, paths.directory, text)
    })
  }
}

class Draft implements SnapshotDraft {
  readonly id: SnapshotId
  readonly upper: string
  readonly work: string
  readonly #parts: SnapshotStoreParts

  constructor(id: SnapshotId, parts: SnapshotStoreParts) {
    const paths = parts.layout.snapshot(id)
    this.id = id
    this.upper = paths.fs
    this.work = paths.work
    this.#parts = parts
  }

  commit(records: readonly RecordWrite[], options: DraftCommitOptions = {}): Promise<void> {
    const { commits } = this.#parts
    const { content } = options
    if (!(content instanceof Promise)) return commits.enqueue(this.#job(records, options, content))
    return commits.enqueueLater(content.then((known) => this.#job(records, options, known)))
  }

  #job(
    records: readonly RecordWrite[],
    { layer, synced }: DraftCommitOptions,
    content: Digest | undefined,
  ): CommitJob {
    const text = JSON.stringify({ createdMs: this.#parts.options.now(), content })
    const layerForm = layer === undefined ? undefined : layerText(layer)
    return { snapshot: { id: this.id, text, layer: layerForm }, records, synced }
  }

  async keep(ref: string, text: string): Promise<boolean> {
    const { layout, session, failures } = this.#parts
    try {
      const kept = await failures.take(layout.snapshot(this.id).directory, ref, text)
      if (kept) session.forgetDraft(this.id)
      else await this.release()
      return kept
    } catch (error) {
      await this.release()
      throw error
    }
  }

  async release(): Promise<void> {
    const { layout, session, options } = this.#parts
    await options.removeTrees([layout.snapshot(this.id).directory])
    session.forgetDraft(this.id)
  }
}
