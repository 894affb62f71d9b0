import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Digest } from '@tsbuild/digest'
import type { HistoryFiles } from './files.ts'
import { decodeEntry, entryBytes, type IndexEntry, indexHead } from './log-index.ts'
import type { LogChunk, ReadLogOptions } from './types.ts'

const blockBytes = 64 * 1024
const lineFeed = 0x0a
/** A log that is followed is looked at this often. */
const followMs = 100

/** See `History.readLog`. */
export interface ReadStepLogOptions extends ReadLogOptions {
  /** Whether the step writes nothing more. */
  readonly isOver: () => boolean
}

/** What is known of bytes that no entry is about: the index was lost, or is none. */
const unknownEntry: IndexEntry = { offset: 0, stream: 'stdout', at: 0 }

/** Reads what a step wrote, in order, in pieces of at most 64 KiB. */
export async function* readStepLog(
  files: HistoryFiles,
  vertex: Digest,
  options: ReadStepLogOptions,
): AsyncGenerator<LogChunk> {
  const paths = [files.log(vertex), files.logIndex(vertex)] as const
  const { follow = false, signal, isOver } = options
  let reader: LogReader | undefined
  try {
    for (;;) {
      // Asked before the last look, so that nothing comes after it.
      const last = !follow || isOver()
      if (reader === undefined) {
        reader = await openReader(...paths)
        if (options.tail !== undefined) await reader?.skipToTail(options.tail, options.stream)
      }
      if (reader !== undefined) yield* reader.read(options.stream)
      if (last || signal?.aborted === true) return
      // What comes later is waited for; who gives up meanwhile is at the end of it.
      await delay(followMs, undefined, signal === undefined ? {} : { signal }).catch(() => {})
    }
  } finally {
    await reader?.close()
  }
}

/** @returns undefined for a step that has written nothing yet */
async function openReader(log: string, index: string): Promise<LogReader | undefined> {
  const file = await openIfThere(log)
  return file === undefined ? undefined : new LogReader(file, index)
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** A log that may still grow. */
class LogReader {
  readonly #file: FileHandle
  readonly #index: EntryReader
  #offset = 0
  /** What holds for the bytes at the offset, and what holds after that. */
  #entry = unknownEntry
  #next: IndexEntry | undefined

  constructor(file: FileHandle, index: string) {
    this.#file = file
    this.#index = new EntryReader(index)
  }

  /** From where the last reading ended to the end of what is there now. */
  async *read(only: ReadLogOptions['stream']): AsyncGenerator<LogChunk> {
    for (;;) {
      const { bytesRead, buffer } = await this.#file.read(
        Buffer.alloc(blockBytes),
        0,
        blockBytes,
        this.#offset,
      )
      if (bytesRead === 0) return
      for (let at = 0; at < bytesRead; ) {
        const entry = await this.#entryAt(this.#offset)
        const end = Math.min(
          bytesRead,
          at + (this.#next === undefined ? bytesRead : this.#next.offset - this.#offset),
        )
        if (only === undefined || entry.stream === only)
          yield { stream: entry.stream, at: entry.at, data: buffer.subarray(at, end) }
        this.#offset += end - at
        at = end
      }
    }
  }

  /** Goes to the beginning of the last so many lines of what is there now. */
  async skipToTail(lines: number, only: ReadLogOptions['stream']): Promise<void> {
    this.#restart(only === undefined ? await this.#tailOfAll(lines) : await this.#tailOfStream(lines, only))
  }

  /** From the end backwards: a log may be of any size. */
  async #tailOfAll(lines: number): Promise<number> {
    const { size } = await this.#file.stat()
    if (lines === 0) return size
    const block = Buffer.alloc(blockBytes)
    // The last line may have an end or none.
    let end = Math.max(0, size - 1)
    for (let left = lines; end > 0; ) {
      const from = Math.max(0, end - blockBytes)
      const { bytesRead } = await this.#file.read(block, 0, end - from, from)
      const read = block.subarray(0, bytesRead)
      for (let at = read.lastIndexOf(lineFeed); at >= 0; ) {
        left -= 1
        if (left === 0) return from + at + 1
        at = at === 0 ? -1 : read.lastIndexOf(lineFeed, at - 1)
      }
      end = from
    }
    return 0
  }

  /** Which bytes are of the stream is known from the beginning on. */
  async #tailOfStream(lines: number, only: ReadLogOptions['stream']): Promise<number> {
    /** Where lines begin, as a ring. */
    const starts: number[] = []
    let count = 0
    let inLine = false
    for await (const { data } of this.read(only)) {
      const from = this.#offset
      for (let at = 0; at < data.length; ) {
        if (!inLine && lines > 0) starts[count++ % lines] = from + at
        const newline = data.indexOf(lineFeed, at)
        inLine = newline < 0
        at = inLine ? data.length : newline + 1
      }
    }
    const first = count > lines ? starts[count % lines] : starts[0]
    return first ?? this.#offset
  }

  async close(): Promise<void> {
    await Promise.all([this.#file.close(), this.#index.close()])
  }

  /** The newest entry that is not beyond the offset. Called with offsets that only grow. */
  async #entryAt(offset: number): Promise<IndexEntry> {
    for (;;) {
      this.#next ??= await this.#index.next()
      if (this.#next === undefined || this.#next.offset > offset) return this.#entry
      this.#entry = this.#next
      this.#next = undefined
    }
  }

  #restart(offset: number): void {
    this.#index.rewind()
    this.#entry = unknownEntry
    this.#next = undefined
    this.#offset = offset
  }
}

/** Entries of an index, in order. One that makes no sense is the end of those that count. */
class EntryReader {
  readonly #path: string
  #file: FileHandle | undefined
  #position = 0
  #block = Buffer.alloc(0)
  #lastOffset = -1
  #isDamaged = false

  constructor(path: string) {
    this.#path = path
  }

  /** @returns undefined where there is none yet */
  async next(): Promise<IndexEntry | undefined> {
    if (this.#block.length < entryBytes && !this.#isDamaged) await this.#readOn()
    if (this.#block.length < entryBytes || this.#isDamaged) return undefined
    const entry = decodeEntry(this.#block.subarray(0, entryBytes))
    // Two of one offset: the first one's bytes could not be written.
    if (entry === undefined || entry.offset < this.#lastOffset) {
      this.#isDamaged = true
      return undefined
    }
    this.#block = this.#block.subarray(entryBytes)
    this.#lastOffset = entry.offset
    return entry
  }

  rewind(): void {
    this.#position = 0
    this.#block = Buffer.alloc(0)
    this.#lastOffset = -1
    this.#isDamaged = false
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }

  async #readOn(): Promise<void> {
    this.#file ??= await openIfThere(this.#path)
    if (this.#file === undefined) return
    if (this.#position === 0 && !(await this.#hasHead(this.#file))) {
      return
    }
    const { bytesRead, buffer } = await this.#file.read(
      Buffer.alloc(blockBytes),
      0,
      blockBytes,
      this.#position,
    )
    this.#position += bytesRead
    this.#block = Buffer.concat([this.#block, buffer.subarray(0, bytesRead)])
  }

  async #hasHead(file: FileHandle): Promise<boolean> {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(entryBytes), 0, entryBytes, 0)
    if (bytesRead < entryBytes) return false
    this.#isDamaged = !buffer.equals(indexHead)
    this.#position = entryBytes
    return !this.#isDamaged
  }
}
