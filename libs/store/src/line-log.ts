import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { removeFile } from './disk.ts'
import { unlessErrnoSync } from './fs-failure.ts'
import type { Session } from './session.ts'

/** What a {@link LineLog} is made with. */
export interface LineLogOptions {
  readonly path: string
  /** Its first line; a file with another one is damaged. */
  readonly format: string
  /** Whether a line is one of this log: its name of 64 characters, a blank, and the rest. */
  readonly form: RegExp
  /** From this size on it is written anew with the lines of `kept`. */
  readonly maxBytes: number
  /** Of all lines, the newest first, those that stay. */
  readonly kept: (lines: readonly string[]) => readonly string[]
}

/** What is known of a file: how far it was read, and its lines by name, the newest last. */
interface Known {
  readonly inode: number
  size: number
  readonly lines: Map<string, string[]>
}

const nameLength = 64

/**
 * A file of named lines that any number of processes append to, each with one write(2): no lock, no sync, and no file made for a
 * line. It is for what only helps: a line may be lost where two processes shorten the file at once, and a power cut may damage it.
 * What others append is read when it is asked for, and nothing is read twice.
 */
export class LineLog {
  readonly #options: LineLogOptions
  readonly #session: Session
  #known: Known | undefined

  constructor(options: LineLogOptions, session: Session) {
    this.#options = options
    this.#session = session
  }

  /** The lines of a name, newest first; undefined where the file is damaged. */
  find(name: string): readonly string[] | undefined {
    const lines = this.#read()
    return lines && (lines.get(name)?.toReversed() ?? [])
  }

  /** @param lines the newest last */
  append(lines: readonly string[]): void {
    const { path, format, maxBytes } = this.#options
    const fd = this.#open(path)
    let size: number
    try {
      size = fstatSync(fd).size
      const text = lines.map((line) => `${line}\n`).join('')
      // What a full disk left of a line must not become part of this one.
      const before = size === 0 ? `${format}\n` : endsLine(fd, size) ? '' : '\n'
      writeSync(fd, `${before}${text}`)
    } finally {
      closeSync(fd)
    }
    if (size > maxBytes) this.#shorten()
  }

  /** Writes the file anew. @param lines newest first */
  replace(lines: readonly string[]): void {
    const { path, format } = this.#options
    this.#known = undefined
    const temporary = this.#session.temporaryFile()
    writeFileSync(temporary, [format, ...lines.toReversed(), ''].join('\n'), { flag: 'wx', mode: 0o600 })
    try {
      clearTheWay(path)
      renameSync(temporary, path)
    } catch (error) {
      removeFile(temporary)
      throw error
    }
  }

  #shorten(): void {
    const bytes = readFrom(this.#options.path, 0)?.bytes.toString() ?? ''
    const lines = bytes.split('\n').filter((line) => this.#options.form.test(line))
    this.replace(this.#options.kept(lines.reverse()))
  }

  /** @returns undefined for a damaged file */
  #read(): Map<string, string[]> | undefined {
    const { path, format } = this.#options
    const stat = unlessErrnoSync(['ENOTDIR'], () => lstatSync(path, { throwIfNoEntry: false }))
    if (stat === undefined) return new Map()
    if (!stat.isFile()) return undefined
    const { ino: inode, size } = stat
    if (this.#known === undefined || this.#known.inode !== inode || this.#known.size > size)
      this.#known = undefined
    if (this.#known?.size === size) return this.#known.lines
    const known = this.#known ?? { inode, size: 0, lines: new Map<string, string[]>() }
    const found = readFrom(path, known.size)
    if (found === undefined || found.inode !== inode) return new Map()
    const isFirst = known.size === 0
    // What another process is writing just now ends later; of a file that is looked at first it never does.
    const end = found.bytes.lastIndexOf(0x0a) + 1
    const lines = found.bytes.toString('utf8', 0, end).split('\n').slice(0, -1)
    if (isFirst && (lines.shift() !== format || end < found.bytes.length)) return undefined
    for (const line of lines) if (!this.#take(known, line)) return undefined
    known.size += end
    this.#known = known
    return known.lines
  }

  #take({ lines }: Known, line: string): boolean {
    if (!this.#options.form.test(line)) return false
    const name = line.slice(0, nameLength)
    const same = lines.get(name)
    if (same === undefined) lines.set(name, [line])
    else same.push(line)
    return true
  }

  #open(path: string): number {
    const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT
    const open = () => openSync(path, flags | neverElsewhere, 0o600)
    const fd = unlessErrnoSync(['ENOENT', ...notAFile], open)
    if (fd !== undefined && fstatSync(fd).isFile()) return fd
    if (fd !== undefined) closeSync(fd)
    clearTheWay(path)
    return open()
  }
}

/** A link leads nowhere, and a FIFO holds nothing up. */
const neverElsewhere = constants.O_NOFOLLOW | constants.O_NONBLOCK
const notAFile = ['EISDIR', 'ELOOP', 'ENOTDIR', 'ENXIO']

/** Damage: what stands in the place of the file, or of the two directories of the index above it, holds nothing. */
function clearTheWay(path: string): void {
  for (const directory of [dirname(dirname(path)), dirname(path)]) {
    if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() === false) removeFile(directory)
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false)
    rmSync(path, { recursive: true, force: true })
}

function endsLine(fd: number, size: number): boolean {
  const last = Buffer.alloc(1)
  readSync(fd, last, 0, 1, size - 1)
  return last[0] === 0x0a
}

/** The bytes from an offset on; undefined where there is no such file. */
function readFrom(
  path: string,
  offset: number,
): { readonly inode: number; readonly bytes: Buffer } | undefined {
  return unlessErrnoSync(['ENOENT', ...notAFile], () => {
    const fd = openSync(path, constants.O_RDONLY | neverElsewhere)
    try {
      const { ino: inode, size } = fstatSync(fd)
      const bytes = Buffer.alloc(Math.max(0, size - offset))
      const read = readSync(fd, bytes, 0, bytes.length, offset)
      return { inode, bytes: bytes.subarray(0, read) }
    } finally {
      closeSync(fd)
    }
  })
}
