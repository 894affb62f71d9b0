import type { Digest, KeyValue } from '@tsbuild/digest'
import type { ErrorKind, SourceRange } from '@tsbuild/errors'
import type {
  CacheSource,
  ContentRead,
  EventSink,
  Millis,
  MissReason,
  TransferOutcome,
  VertexRole,
} from '@tsbuild/events'

/** The version of `build.json`, of the journal and of the explanations. A reader passes over other versions. */
export const historyFormat = 1

/** What is known of a build before it does anything. */
export interface BuildFacts {
  /** 24 lowercase hex digits. */
  readonly ref: string
  /** The first tag, or the context. */
  readonly name: string
  readonly request: BuildRequest
  /** Of tsbuild. */
  readonly version: string
  /** Of the machine: `linux/amd64`. */
  readonly machine: string
  readonly pid: number
  readonly startedAt: Millis
}

/** What was asked for, credentials taken out: there is no secret in it. */
export interface BuildRequest {
  readonly context: string
  /** Null for the default. */
  readonly dockerfile: string | null
  readonly target: string | null
  readonly tags: readonly string[]
  /** Everything else that was not the default, as flags: `--no-cache`, `--build-arg VERSION=2`, `--secret id=npm`. */
  readonly flags: readonly string[]
}

/** How a build ended; `died`: it did not end, and nobody is at work on it any more. */
export type BuildOutcome = 'running' | 'completed' | 'failed' | 'cancelled' | 'died'

/** Everything that is known of a build: the content of `build.json`. */
export interface BuildRecord extends BuildFacts {
  readonly outcome: BuildOutcome
  /** Null where it did not end. */
  readonly endedAt: Millis | null
  readonly error: BuildFailure | null
  /** Inputs before their readers. */
  readonly steps: readonly BuildStep[]
  readonly warnings: readonly BuildWarning[]
  readonly image: BuiltImage | null
}

/** What a build made, if an output needed an image. */
export interface BuiltImage {
  /** Of the manifest. */
  readonly digest: string
  /** Docker's image id. */
  readonly configDigest: string | null
}

/** What a build failed with. */
export interface BuildFailure {
  readonly kind: ErrorKind
  readonly code: string
  readonly message: string
  readonly hints: readonly string[]
  readonly source: SourceRange | null
  /** The lines of the Dockerfile around the place, as they were. */
  readonly excerpt: Excerpt | null
}

/** Some lines of a file. */
export interface Excerpt {
  /** Of the first, from 1. */
  readonly firstLine: number
  readonly lines: readonly string[]
}

/** How far a step is or came. */
export type StepOutcome = 'not-reached' | 'running' | 'cached' | 'completed' | 'failed' | 'cancelled'

/** What a build did by itself: a step of the Dockerfile, something that it brought in, or work of the builder's own. */
export interface BuildStep {
  /** From 1, in the order in which they began, as plain progress numbers them; what never began comes last. */
  readonly number: number
  readonly vertex: Digest
  readonly name: string
  readonly role: Exclude<VertexRole, 'view'>
  readonly source: SourceRange | null
  /** The steps whose results it uses, by digest. */
  readonly inputs: readonly Digest[]
  readonly outcome: StepOutcome
  readonly startedAt: Millis | null
  readonly endedAt: Millis | null
  /** Of one that failed. */
  readonly error: string | null
  /** Where a cached result came from, and how long making it took then. */
  readonly from: CacheSource | null
  readonly savedMs: number | null
  /** Why it was not found in the cache. */
  readonly miss: MissReason | null
  /** What it read of inputs that count by content. */
  readonly reads: readonly ContentRead[]
  /** Whether there is an explanation: `History.explanation`. */
  readonly explained: boolean
  /** What it last waited for that another process did. */
  readonly waitedFor: string | null
  readonly usage: StepUsage | null
  readonly transfers: readonly StepTransfer[]
  readonly log: StepLog
}

/** What the process of a step used. */
export interface StepUsage {
  readonly userMicros: number
  readonly systemMicros: number
  readonly peakMemoryBytes: number
  readonly readBytes: number
  readonly writtenBytes: number
}

/** A part of a step that took time by itself; what an export sent, mounted or found there. */
export interface StepTransfer {
  readonly id: string
  readonly startedAt: Millis
  readonly at: Millis
  readonly currentBytes: number
  readonly totalBytes: number | null
  readonly done: boolean
  /** Of a blob of a push. */
  readonly outcome?: TransferOutcome
}

/** How much a step wrote. */
export interface StepLog {
  /** What is kept of it. */
  readonly bytes: number
  /** What could not be written down, as the disk was full. */
  readonly lostBytes: number
}

/** A warning of a build. */
export interface BuildWarning {
  readonly rule: string
  readonly message: string
  readonly source: SourceRange | null
  readonly page: string | null
}

/** How a build ended that came to its end. */
export interface BuildEnd {
  readonly outcome: 'completed' | 'failed' | 'cancelled'
  readonly error: BuildFailure | null
  readonly image: BuiltImage | null
}

/**
 * Writes down what a build does, while it does it. A build that finds everything cached leaves one file, written at its end; any
 * other one has a journal from its first miss on. Nothing here throws or fails a build: what cannot be written is said once.
 */
export interface BuildRecorder {
  /** Takes every event of the build from `vertex.planned` on. The bytes of `vertex.log` are on their way to the disk when it returns. */
  readonly events: EventSink
  /** Keeps the full comparison behind the reason of a step's miss. */
  explain(vertex: Digest, explanation: KeyValue): void
  /**
   * Writes down how it ended, and makes room. Nothing is taken after that.
   * @returns what there is to know of the build, also where it cannot be written
   */
  end(end: BuildEnd): Promise<BuildRecord>
}

/** How much history is kept. */
export interface HistoryLimits {
  /** Builds. */
  readonly builds: number
  readonly ageMs: number
  /** Of the files of all builds together. */
  readonly bytes: number
}

/** What there is. */
export interface BuildList {
  /** Newest first. */
  readonly builds: readonly BuildRecord[]
  /** Refs of builds whose files say nothing that makes sense. */
  readonly unreadable: readonly string[]
}

/** Reads what builds did. What comes from disk is checked; no damage throws. */
export interface History {
  list(): BuildList
  /** Undefined where there is none, or nothing that makes sense. */
  read(ref: string): BuildRecord | undefined
  /** The full comparison behind the miss of a step, as it was kept. */
  explanation(ref: string, vertex: Digest): unknown
  /** What a step wrote, as it wrote it. The build is not removed while it is read. */
  readLog(ref: string, vertex: Digest, options?: ReadLogOptions): AsyncGenerator<LogChunk>
  /** @returns one answer for each ref, in order */
  remove(refs: readonly string[]): Promise<readonly ('removed' | 'in-use' | 'gone')[]>
}

/** How a log is read. */
export interface ReadLogOptions {
  /** Goes on until the step has ended, or the build. */
  readonly follow?: boolean | undefined
  /** Only this stream. */
  readonly stream?: LogStream | undefined
  /** Only the last so many lines of what is there at first. */
  readonly tail?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** A stream of a process. */
export type LogStream = 'stdout' | 'stderr'

/** Some bytes that a step wrote at once. */
export interface LogChunk {
  readonly stream: LogStream
  readonly at: Millis
  readonly data: Uint8Array
}
