import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { type Digest, digestHex, type KeyValue } from '@tsbuild/digest'
import { redact } from '@tsbuild/errors'
import type { BuildEvent, EventSink } from '@tsbuild/events'
import { type BuildStore, type OpenBuild, seal } from '@tsbuild/store'
import { type HistoryFiles, historyFiles } from './files.ts'
import { BuildFold, endedAs, type JournalEvent } from './fold.ts'
import { LogWriter } from './log-writer.ts'
import { prune } from './prune.ts'
import { encodeRecord } from './record-codec.ts'
import {
  type BuildEnd,
  type BuildFacts,
  type BuildRecord,
  type BuildRecorder,
  type HistoryLimits,
  historyFormat,
  type StepLog,
} from './types.ts'

/** What a recorder works with. */
export interface RecorderOptions {
  readonly store: BuildStore
  readonly facts: BuildFacts
  readonly limits: HistoryLimits
  readonly now: () => number
  /** Takes the one warning of a history that cannot be written. */
  readonly warn: EventSink
}

/** The directory of a build that does something. */
interface Open {
  readonly build: OpenBuild
  readonly files: HistoryFiles
  readonly logs: LogWriter
  readonly journal: number
}

/** Makes the recorder of one build. Nothing is written yet. */
export function createRecorder(options: RecorderOptions): BuildRecorder {
  const recorder = new Recorder(options)
  return {
    events: (event) => recorder.take(event),
    explain: (vertex, explanation) => recorder.explain(vertex, explanation),
    end: (end) => recorder.end(end),
  }
}

class Recorder {
  readonly #options: RecorderOptions
  readonly #fold: BuildFold
  /** What came before there was a journal. */
  #pending: JournalEvent[] = []
  #open: Open | undefined
  /** The directory could not be made, or the build has ended. */
  #closed = false
  #warned = false

  constructor(options: RecorderOptions) {
    this.#options = options
    this.#fold = new BuildFold(options.facts)
  }

  take(event: BuildEvent): void {
    if (this.#closed) return
    switch (event.type) {
      case 'build.started':
      case 'build.completed':
      case 'build.failed':
        return
      case 'vertex.log':
        this.#opened()?.logs.write(event)
        return
      default:
        this.#note(withoutCredentials(event))
    }
  }

  explain(vertex: Digest, explanation: KeyValue): void {
    if (this.#closed) return
    const files = this.#opened()?.files
    if (files === undefined) return
    this.#attempt(() => {
      mkdirSync(files.explanations, { recursive: true, mode: 0o700 })
      const text = `${JSON.stringify({ format: historyFormat, explanation })}\n`
      writeFileSync(files.explanation(vertex), seal(digestHex(vertex), text), { mode: 0o600 })
      this.#note({ type: 'history.explained', vertex })
    })
  }

  async end(end: BuildEnd): Promise<BuildRecord> {
    const record = this.#fold.record(endedAs(end, this.#options.now()), (vertex) => this.#logOf(vertex))
    if (!this.#closed) await this.#finish(record)
    return record
  }

  async #finish(record: BuildRecord): Promise<void> {
    this.#attempt(() => this.#writeRecord(record))
    const { store, limits, now, facts } = this.#options
    const grew = this.#open !== undefined
    this.#close()
    try {
      await prune(
        store,
        { ...limits, bytes: grew ? limits.bytes : Number.POSITIVE_INFINITY },
        now(),
        facts.ref,
      )
    } catch (error) {
      this.#failed(error)
    }
  }

  #note(event: JournalEvent): void {
    this.#fold.apply(event)
    if (this.#open === undefined && !this.#isWork(event)) {
      this.#pending.push(event)
      return
    }
    const open = this.#opened()
    if (open === undefined) return
    // How far a transfer is counts at its end.
    if (event.type !== 'vertex.status' || event.done) this.#journal(open, [event])
    if (endsVertex(event)) open.logs.close(event.vertex)
  }

  /** Whether it shows that the build does more than find things: its end may be far, so that it has begun is written down. */
  #isWork(event: JournalEvent): boolean {
    switch (event.type) {
      case 'vertex.missed':
      case 'vertex.waiting':
      case 'vertex.failed':
        return true
      case 'vertex.started':
        return this.#fold.roleOf(event.vertex) === 'step'
      case 'vertex.status':
        return !event.done
      default:
        return false
    }
  }

  #opened(): Open | undefined {
    if (this.#open === undefined && !this.#closed) this.#attempt(() => this.#begin())
    return this.#open
  }

  #begin(): void {
    const { store, facts } = this.#options
    // One attempt: where it fails there is no history of this build.
    this.#closed = true
    const build = store.begin(facts.ref)
    const files = historyFiles(build.directory)
    const logs = new LogWriter(files, (error) => this.#failed(error))
    try {
      const journal = openSync(files.journal, 'ax', 0o600)
      this.#open = { build, files, logs, journal }
    } catch (error) {
      build.end()
      throw error
    }
    this.#closed = false
    this.#journal(this.#open, [{ format: historyFormat, ...facts }, ...this.#pending])
    this.#pending = []
  }

  #journal({ journal }: Open, lines: readonly object[]): void {
    this.#attempt(() => void writeSync(journal, lines.map((line) => `${JSON.stringify(line)}\n`).join('')))
  }

  #logOf(vertex: Digest): StepLog {
    return this.#open?.logs.sizeOf(vertex) ?? { bytes: 0, lostBytes: 0 }
  }

  #writeRecord(record: BuildRecord): void {
    const { store, facts } = this.#options
    const open = this.#open
    const build = open?.build ?? store.begin(facts.ref)
    try {
      const files = historyFiles(build.directory)
      replaceFile(files.record, seal(facts.ref, encodeRecord(record)))
      if (open !== undefined) rmSync(files.journal)
    } finally {
      build.end()
    }
  }

  #close(): void {
    this.#closed = true
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return
    open.logs.closeAll()
    closeSync(open.journal)
    open.build.end()
  }

  #attempt(body: () => void): void {
    try {
      body()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (this.#warned) return
    this.#warned = true
    const why = error instanceof Error ? error.message : String(error)
    this.#options.warn({
      type: 'warning',
      rule: 'HistoryIncomplete',
      message: `The history of this build is not complete: ${redact(why)}`,
      source: null,
      at: this.#options.now(),
    })
  }
}

function replaceFile(path: string, text: string): void {
  const draft = `${path}.new`
  try {
    writeFileSync(draft, text, { mode: 0o600 })
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

function endsVertex(event: JournalEvent): event is Extract<JournalEvent, { vertex: Digest }> {
  return ['vertex.completed', 'vertex.failed', 'vertex.cancelled'].includes(event.type)
}

function withoutCredentials(event: JournalEvent): JournalEvent {
  switch (event.type) {
    case 'vertex.planned':
      return { ...event, name: redact(event.name) }
    case 'vertex.failed':
      return { ...event, error: redact(event.error) }
    case 'vertex.missed':
      return { ...event, reason: { ...event.reason, text: redact(event.reason.text) } }
    case 'vertex.waiting':
      return { ...event, reason: redact(event.reason) }
    case 'warning':
      return { ...event, message: redact(event.message) }
    default:
      return event
  }
}
