import { type BigIntStats, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, inflateRawSync } from 'node:zlib'

/** The forms in which a value may lie in a file: as it is, base64 (at each of its three offsets), hex, in a URL. */
function formsOf(value: string): readonly Buffer[] {
  const bytes = Buffer.from(value)
  const offsets = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    // What depends on the bytes around the value is left out.
    return text.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + bytes.length) * 4) / 3) - 1)
  })
  const hex = bytes.toString('hex')
  const forms = [value, ...offsets, hex, hex.toUpperCase(), encodeURIComponent(value)]
  return [...new Set(forms)].map((form) => Buffer.from(form))
}

/** What one search looks at again and again, such as a store after each of many builds. */
export interface LeakSearch {
  /** Finds the value below folders; a file that was read before is read again only when it changed. */
  readonly find: (folders: readonly string[]) => readonly string[]
}

/** Makes a search for a value, in any of its forms. */
export function searchLeaks(value: string): LeakSearch {
  const forms = formsOf(value)
  const holds = (bytes: Buffer) => forms.some((form) => bytes.includes(form))
  const clean = new Set<string>()
  const holdsIn = (path: string, stat: BigIntStats) => {
    // Nothing sets the time of the last change of an inode to what it was.
    const identity = `${stat.dev}:${stat.ino}:${stat.size}:${stat.ctimeNs}`
    if (clean.has(identity)) return false
    const bytes = unlessGone(() => readFileSync(path))
    if (bytes === undefined) return false
    if (holds(bytes) || inflations(bytes).some(holds)) return true
    clean.add(identity)
    return false
  }
  const walk = (path: string): readonly string[] => {
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    if (stat === undefined) return []
    if (holds(Buffer.from(path))) return [path]
    if (stat.isDirectory())
      return (unlessGone(() => readdirSync(path)) ?? []).flatMap((name) => walk(join(path, name)))
    return stat.isFile() && holdsIn(path, stat) ? [path] : []
  }
  return { find: (folders) => folders.flatMap(walk) }
}

/** Others work in the folders of the machine: what goes while it is looked at is not left. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Finds a value, in any of its forms, in the names and bytes of files below folders; gzip is looked into, wherever in a
 * file it begins. An oracle for secrets: what it finds is a leak.
 *
 * @returns the paths of the files
 */
export function findLeaks(value: string, folders: readonly string[]): readonly string[] {
  return searchLeaks(value).find(folders)
}

/** Whether a text has a value in any of its forms. */
export function leaksIn(text: string, value: string): boolean {
  return formsOf(value).some((form) => Buffer.from(text).includes(form))
}

const gzipMagic = Buffer.from([0x1f, 0x8b, 0x08])

/** What the gzip streams of a file unpack to; one that ends too early up to there. */
function inflations(bytes: Buffer): readonly Buffer[] {
  const found: Buffer[] = []
  for (let at = bytes.indexOf(gzipMagic); at !== -1; at = bytes.indexOf(gzipMagic, at + 1)) {
    try {
      // Without its frame a stream ends where it ends, whatever comes after it in the file.
      found.push(
        inflateRawSync(bytes.subarray(endOfHeader(bytes, at)), { finishFlush: constants.Z_SYNC_FLUSH }),
      )
    } catch {
      // Three bytes that only look like the beginning of one.
    }
  }
  return found
}

/** Where the compressed data of the gzip stream at `at` begins. @see RFC 1952 section 2.3 */
function endOfHeader(bytes: Buffer, at: number): number {
  const flags = bytes[at + 3] ?? 0
  const afterText = (from: number) => bytes.indexOf(0, from) + 1
  let end = at + 10
  if ((flags & 4) !== 0) end += 2 + bytes.readUInt16LE(end)
  if ((flags & 8) !== 0) end = afterText(end)
  if ((flags & 16) !== 0) end = afterText(end)
  return (flags & 2) === 0 ? end : end + 2
}
