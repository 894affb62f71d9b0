import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { digestHex } from '@tsbuild/digest'
import { type Disk, makeDirectory, removeFile, renameOver } from './disk.ts'
import { onDiskSync, storeFailure } from './fs-failure.ts'
import type { Layout, SourceId } from './layout.ts'
import { seal } from './seal.ts'
import type { Session } from './session.ts'
import type { SnapshotId } from './snapshot-types.ts'
import type { RecordWrite } from './types.ts'

/** What becomes durable and visible together. */
export interface CommitJob {
  /** A draft whose data is complete; `layer` is the text of what is known of its layer form. */
  readonly snapshot?:
    | { readonly id: SnapshotId; readonly text: string; readonly layer?: string | undefined }
    | undefined
  /** A fetched tree, a draft where `marker` is given, and the file that gives it a name. */
  readonly source?:
    | {
        readonly id: SourceId
        readonly marker: string | undefined
        readonly namePath: string
        readonly nameText: string
      }
    | undefined
  /** The draft's data is durable: only the files that are written here need a sync. */
  readonly synced?: boolean | undefined
  readonly records: readonly RecordWrite[]
}

interface Waiting {
  readonly job: CommitJob
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** A file that has all its bytes and not yet its name. */
interface Staged {
  readonly temporary: string
  readonly path: string
  readonly directory: string
}

/**
 * Commits snapshots and records in batches: while one batch is being synced all new jobs gather for the next, so steps
 * that follow each other closely share one `syncfs` instead of paying for one each, and none of them waits for it.
 *
 * A batch: write every file under a temporary name → one sync of the file system, which covers those files and the
 * drafts' trees → rename, a job's snapshot before its records and a
 * source's tree before its name → fsync the directories → done. Where every draft of the
 * batch was made durable by the process that wrote it, an fsync of each file takes the place of the sync.
 */
export class GroupCommit {
  readonly #layout: Layout
  readonly #disk: Disk
  readonly #session: Session
  readonly #knownShards = new Set<string>()
  readonly #coming = new Set<Promise<void>>()
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #broken: unknown

  constructor(layout: Layout, disk: Disk, session: Session) {
    this.#layout = layout
    this.#disk = disk
    this.#session = session
  }

  /** Resolves when the job is durable. Jobs become visible in the order in which they came. */
  enqueue(job: CommitJob): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** As {@link GroupCommit.enqueue}, for a job of which something is still found out; {@link GroupCommit.drain} waits for it. */
  async enqueueLater(job: Promise<CommitJob>): Promise<void> {
    const queued = job.then((complete) => this.enqueue(complete))
    this.#coming.add(queued)
    try {
      await queued
    } finally {
      this.#coming.delete(queued)
    }
  }

  /** Resolves when nothing is coming, waiting or under way; never rejects. */
  async drain(): Promise<void> {
    while (this.#coming.size > 0 || this.#running !== undefined) {
      await Promise.allSettled(this.#coming)
      await this.#running
    }
  }

  async #run(): Promise<void> {
    // Jobs of the same turn of the event loop share the first batch.
    await Promise.resolve()
    while (this.#waiting.length > 0) await this.#commit(this.#waiting.splice(0))
    this.#running = undefined
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    if (this.#broken !== undefined) return rejectAll(batch, this.#broken)
    const jobs = batch.map((waiting) => ({ waiting, value: undefined }))
    const staged = phase(jobs, ({ waiting }) => this.#stage(waiting.job))
    if (staged.length === 0) return
    try {
      if (batch.every(({ job }) => job.synced === true)) {
        await this.#disk.syncPaths(staged.flatMap(({ value }) => value.map(({ temporary }) => temporary)))
      } else await this.#disk.syncTree(this.#layout.root)
    } catch (error) {
      // The kernel reports lost writes once and then forgets them, so a later sync that succeeds proves nothing.
      this.#broken = error
      for (const { value } of staged) discard(value)
      return rejectAll(
        staged.map(({ waiting }) => waiting),
        error,
      )
    }
    const named = phase(staged, ({ value }) => publish(value, () => this.#session.temporaryFile()))
    await this.#finish(named)
  }

  async #finish(named: readonly Step<readonly Staged[]>[]): Promise<void> {
    const waiting = named.map((entry) => entry.waiting)
    const files = named.flatMap(({ value }) => value)
    try {
      await this.#disk.syncDirectories([this.#layout.records, ...files.map(({ directory }) => directory)])
    } catch (error) {
      this.#broken = error
      takeBack(files)
      return rejectAll(waiting, error)
    }
    for (const { job, resolve } of waiting) {
      if (job.snapshot !== undefined) this.#session.forgetDraft(job.snapshot.id)
      if (job.source?.marker !== undefined) this.#session.forgetSource(job.source.id)
      resolve()
    }
  }

  #stage(job: CommitJob): readonly Staged[] {
    const staged: Staged[] = []
    try {
      for (const { path, directory, text } of this.#files(job)) {
        const temporary = this.#session.temporaryFile()
        staged.push({ temporary, path, directory })
        onDiskSync('write', path, () => writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 }))
      }
      return staged
    } catch (error) {
      discard(staged)
      throw error
    }
  }

  *#files({
    snapshot,
    source,
    records,
  }: CommitJob): Generator<{ path: string; directory: string; text: string }> {
    if (snapshot !== undefined) {
      const { marker, layer, directory } = this.#layout.snapshot(snapshot.id)
      const { id } = snapshot
      if (snapshot.layer !== undefined) yield { path: layer, directory, text: seal(id, snapshot.layer) }
      yield { path: marker, directory, text: seal(id, snapshot.text) }
    }
    if (source !== undefined) {
      const { marker, directory } = this.#layout.source(source.id)
      if (source.marker !== undefined) yield { path: marker, directory, text: seal(source.id, source.marker) }
      const nameText = seal(basename(source.namePath, '.json'), source.nameText)
      yield { path: source.namePath, directory: this.#layout.sourceNames, text: nameText }
    }
    for (const { keys, text } of records) {
      for (const key of new Set(keys)) {
        const { path, directory } = this.#layout.record(key)
        this.#makeShard(directory)
        yield { path, directory, text: seal(digestHex(key), text) }
      }
    }
  }

  /** Its name in `records` is made durable by the syncs that follow. */
  #makeShard(directory: string): void {
    if (this.#knownShards.has(directory)) return
    onDiskSync('make directory', directory, () => makeDirectory(directory))
    this.#knownShards.add(directory)
  }
}

/** A job of the batch and what the last phase made of it. */
interface Step<T> {
  readonly waiting: Waiting
  readonly value: T
}

/** One phase of a batch: a job for which it fails is rejected and leaves the batch, the others go on. */
function phase<In, Out>(steps: readonly Step<In>[], work: (step: Step<In>) => Out): readonly Step<Out>[] {
  const done: Step<Out>[] = []
  for (const step of steps) {
    try {
      done.push({ waiting: step.waiting, value: work(step) })
    } catch (error) {
      step.waiting.reject(error)
    }
  }
  return done
}

/** Gives files their names, in order. */
function publish(staged: readonly Staged[], aside: () => string): readonly Staged[] {
  for (const [index, { temporary, path }] of staged.entries()) {
    try {
      renameOver(temporary, path, aside)
    } catch (error) {
      discard(staged.slice(index))
      takeBack(staged.slice(0, index))
      throw storeFailure(error, 'write', path)
    }
  }
  return staged
}

/** What cannot be removed now goes with the session. */
function discard(staged: readonly Staged[]): void {
  for (const { temporary } of staged) removeIfPossible(temporary)
}

/** Whoever hears of the failure deletes the draft: what names it goes first, the last come first. */
function takeBack(named: readonly Staged[]): void {
  for (const { path } of named.toReversed()) removeIfPossible(path)
}

/** The error that led here is the one to report; a record without its snapshot counts as missing. */
function removeIfPossible(path: string): void {
  try {
    removeFile(path)
  } catch {
    // As said above.
  }
}

function rejectAll(batch: readonly Waiting[], error: unknown): void {
  for (const { reject } of batch) reject(error)
}
