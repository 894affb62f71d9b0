import { closeSync, mkdirSync, openSync, statfsSync, writeSync } from 'node:fs'
import type { Digest } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { HistoryFiles } from './files.ts'
import { encodeEntry, indexHead } from './log-index.ts'
import type { LogStream, StepLog } from './types.ts'

/** The free space is looked at after so many bytes. */
const lookEvery = 64 * 1024 * 1024
/** So much of a disk is left to others, or this share of a small one. */
const reserveBytes = 1024 * 1024 * 1024
const reserveShare = 0.05

interface OpenLog {
  bytes: number
  lostBytes: number
  stream: LogStream | undefined
  at: number
  fds: { readonly log: number; readonly index: number } | undefined
}

/**
 * Writes what steps write, each to a file of its own, as the events come: with `write` and without a buffer, so that a killed
 * build loses nothing and a flood takes no memory. The kernel slows a writer down that is faster than the disk.
 * A log that cannot be written on stays what it is, the beginning of what the step wrote; the rest is counted.
 */
export class LogWriter {
  readonly #files: HistoryFiles
  readonly #onFailure: (error: unknown) => void
  readonly #logs = new Map<Digest, OpenLog>()
  #unlooked = 0

  constructor(files: HistoryFiles, onFailure: (error: unknown) => void) {
    this.#files = files
    this.#onFailure = onFailure
  }

  write({ vertex, stream, data, at }: BuildEvent & { type: 'vertex.log' }): void {
    const log = this.#of(vertex)
    if (data.length === 0) return
    if (log.lostBytes > 0) {
      log.lostBytes += data.length
      return
    }
    const before = log.bytes
    try {
      const { log: logFd, index } = this.#open(vertex, log)
      this.#leaveSpace(data.length)
      if (stream !== log.stream || at !== log.at) writeAll(index, encodeEntry({ offset: before, stream, at }))
      log.stream = stream
      log.at = at
      writeAll(logFd, data, (written) => {
        log.bytes += written
      })
    } catch (error) {
      log.lostBytes += data.length - (log.bytes - before)
      this.close(vertex)
      this.#onFailure(error)
    }
  }

  /** Lets go of a step's files; what comes later opens them again. */
  close(vertex: Digest): void {
    const log = this.#logs.get(vertex)
    if (log?.fds === undefined) return
    closeSync(log.fds.log)
    closeSync(log.fds.index)
    log.fds = undefined
  }

  closeAll(): void {
    for (const vertex of this.#logs.keys()) this.close(vertex)
  }

  sizeOf(vertex: Digest): StepLog {
    const { bytes, lostBytes } = this.#logs.get(vertex) ?? { bytes: 0, lostBytes: 0 }
    return { bytes, lostBytes }
  }

  #of(vertex: Digest): OpenLog {
    const known = this.#logs.get(vertex)
    if (known !== undefined) return known
    const log: OpenLog = { bytes: 0, lostBytes: 0, stream: undefined, at: 0, fds: undefined }
    this.#logs.set(vertex, log)
    return log
  }

  #open(vertex: Digest, log: OpenLog) {
    if (log.fds === undefined) {
      mkdirSync(this.#files.logs, { recursive: true, mode: 0o700 })
      const fd = openSync(this.#files.log(vertex), 'a', 0o600)
      try {
        log.fds = { log: fd, index: openSync(this.#files.logIndex(vertex), 'a', 0o600) }
      } catch (error) {
        closeSync(fd)
        throw error
      }
      if (log.stream === undefined) writeAll(log.fds.index, indexHead)
    }
    return log.fds
  }

  /** A step that never stops writing must not fill the disk that its build needs. */
  #leaveSpace(bytes: number): void {
    this.#unlooked += bytes
    if (this.#unlooked < lookEvery) return
    this.#unlooked = 0
    const { bavail, blocks, bsize } = statfsSync(this.#files.logs)
    if (bavail * bsize < Math.min(reserveBytes, blocks * bsize * reserveShare))
      throw new Error('the disk is almost full')
  }
}

/** A write may be short. */
function writeAll(fd: number, data: Uint8Array, onWritten: (bytes: number) => void = () => {}): void {
  for (let at = 0; at < data.length; ) {
    const written = writeSync(fd, data, at)
    onWritten(written)
    at += written
  }
}
