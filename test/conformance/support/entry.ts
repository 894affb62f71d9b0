import { createHash } from 'node:crypto'
import { anything, integer, nullable, objectOf, optional, type Parse, text, word } from './parse.ts'

/** What a file of a tree is, apart from its name. The notation of context.json and of want.json is the same. */
export interface Entry {
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'character' | 'block' | 'socket'
  /** Permission bits with setuid, setgid and sticky; not looked at for a symlink. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** The bytes of a file; empty for everything else. */
  readonly content: Buffer
  /** What a symlink says. */
  readonly target: string | undefined
  readonly device: readonly [major: number, minor: number] | undefined
  /** Attribute name → value. */
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Whole seconds since the Unix epoch. */
  readonly mtime: number | undefined
  /** The path, first in the order of bytes, that this one shares its inode with. */
  readonly hardlink: string | undefined
}

/** Path relative to the root, without outer slashes; the root itself is the empty path. */
export type Tree = ReadonlyMap<string, Entry>

const notation = objectOf({
  type: optional(word('file', 'directory', 'symlink', 'fifo', 'character', 'block', 'socket')),
  mode: optional(text),
  owner: optional(text),
  text: optional(text),
  base64: optional(text),
  size: optional(integer),
  sha256: optional(text),
  target: optional(text),
  device: optional(text),
  xattrs: optional(anything),
  mtime: optional(integer),
  hardlink: optional(text),
})

/** What a want says about one path: the canonical notation, or null for a path of the base that must be gone. */
export type EntryWant = Readonly<Record<string, unknown>> | null

/** Reads an entry out of the notation of README.md. `path` ends in a slash for a directory. */
export const parseEntry =
  (path: string): Parse<Entry> =>
  (value, at) => {
    const given = notation(typeof value === 'string' ? { text: value } : value, at)
    const type = given.type ?? impliedType(path, given)
    const [uid, gid] = numbers(given.owner ?? '0:0', `${at}.owner`)
    return {
      type,
      mode: octal(given.mode ?? (type === 'directory' ? '0755' : '0644'), `${at}.mode`),
      uid,
      gid,
      content:
        given.base64 === undefined ? Buffer.from(given.text ?? '') : Buffer.from(given.base64, 'base64'),
      target: given.target,
      device: given.device === undefined ? undefined : numbers(given.device, `${at}.device`),
      xattrs: parseXattrs(given.xattrs, `${at}.xattrs`),
      mtime: given.mtime,
      hardlink: given.hardlink,
    }
  }

/** Reads what a want says about one path, in whatever order and with whatever defaults, as {@link describeEntry} writes it. */
export const parseEntryWant =
  (path: string): Parse<EntryWant> =>
  (value, at) => {
    const entry = nullable(parseEntry(path))(value, at)
    if (entry === null) return null
    const { size, sha256 } = notation(typeof value === 'string' ? { text: value } : value, at)
    if (sha256 === undefined) return describeEntry(entry, entry.mtime !== undefined)
    const { text: _, ...rest } = describeEntry(entry, entry.mtime !== undefined)
    return { ...rest, size, sha256 }
  }

/**
 * The canonical notation of an entry: everything that was compared, nothing that has its default value.
 *
 * @param withTime whether the modification time is part of it
 * @param byDigest whether the content is given by its size and digest
 */
export function describeEntry(entry: Entry, withTime: boolean, byDigest = false): Record<string, unknown> {
  const isDirectory = entry.type === 'directory'
  const mode = entry.mode.toString(8).padStart(4, '0')
  return {
    type: entry.type,
    ...(entry.hardlink === undefined ? contentOf(entry, byDigest) : { hardlink: entry.hardlink }),
    ...(entry.type === 'symlink' || mode === (isDirectory ? '0755' : '0644') ? {} : { mode }),
    ...(entry.uid === 0 && entry.gid === 0 ? {} : { owner: `${entry.uid}:${entry.gid}` }),
    ...(entry.target === undefined ? {} : { target: entry.target }),
    ...(entry.device === undefined ? {} : { device: entry.device.join(':') }),
    ...(entry.xattrs.size === 0 ? {} : { xattrs: describeXattrs(entry.xattrs) }),
    ...(withTime ? { mtime: entry.mtime } : {}),
  }
}

function contentOf({ type, content }: Entry, byDigest: boolean): Record<string, unknown> {
  if (type !== 'file') return {}
  if (byDigest) return { size: content.length, sha256: createHash('sha256').update(content).digest('hex') }
  const decoded = content.toString()
  return Buffer.from(decoded).equals(content) ? { text: decoded } : { base64: content.toString('base64') }
}

function impliedType(
  path: string,
  given: { readonly target: string | undefined; readonly device: string | undefined },
): Entry['type'] {
  if (path.endsWith('/')) return 'directory'
  if (given.device !== undefined) return 'character'
  return given.target === undefined ? 'file' : 'symlink'
}

function octal(value: string, at: string): number {
  if (!/^[0-7]{3,4}$/.test(value)) throw new Error(`${at}: expected an octal mode, found "${value}"`)
  return Number.parseInt(value, 8)
}

function numbers(value: string, at: string): readonly [number, number] {
  const [, first, second] = /^(\d+):(\d+)$/.exec(value) ?? []
  if (first === undefined || second === undefined)
    throw new Error(`${at}: expected two numbers, found "${value}"`)
  return [Number(first), Number(second)]
}

function parseXattrs(value: unknown, at: string): ReadonlyMap<string, Buffer> {
  const bytes = (written: unknown, place: string) => {
    const one = text(written, place)
    return /^0x/.test(one) ? Buffer.from(one.slice(2), 'hex') : Buffer.from(one)
  }
  return new Map(
    Object.entries((value ?? {}) as object)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, written]) => [name, bytes(written, `${at}.${name}`)] as const),
  )
}

/** As `getfattr` writes them: text, or `0x` and hexadecimal digits. */
function describeXattrs(xattrs: ReadonlyMap<string, Buffer>): Record<string, string> {
  const written = (value: Buffer) =>
    /^[\x20-\x7e]*$/.test(value.toString('latin1')) ? value.toString() : `0x${value.toString('hex')}`
  return Object.fromEntries(
    [...xattrs].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, written(value)]),
  )
}
