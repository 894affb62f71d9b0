import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '@tsbuild/errors'

/** Of an archive; an image with thousands of layers, as `docker save` writes it, has a tenth of them. */
const maxEntries = 100_000

/** A file or a link of an archive. Directories and whatever else there is are not kept. */
export type ArchiveEntry =
  /** `offset`: of its first byte, from the beginning of the archive. */
  | { readonly type: 'file'; readonly offset: number; readonly size: number }
  /** A symlink or a hard link, and what it says. */
  | { readonly type: 'link'; readonly target: string; readonly hard: boolean }

/**
 * Reads a tar once and says where in it each file is. Names come without `./` before and `/` behind them.
 *
 * @throws {UserError} `ERR_ARCHIVE_INVALID` if it is no tar, ends too early, has more than 100,000 entries, or a name that is absolute,
 *   has a component `..` or is there twice: readers would disagree about what it holds
 */
export async function indexArchive(
  source: Readable,
  what: string,
  signal?: AbortSignal | undefined,
): Promise<ReadonlyMap<string, ArchiveEntry>> {
  // As in the writer: most commands read no archive.
  const { extract } = await import('tar-stream')
  const reader = extract()
  // It says so once more when the pipe has ended.
  reader.on('error', () => {})
  const entries = new Map<string, ArchiveEntry>()
  let count = 0
  let fault: UserError | undefined
  reader.on('entry', (header, content, next) => {
    fault ??=
      ++count > maxEntries
        ? invalidArchive(what, `it has more than ${maxEntries} entries`)
        : add(entries, header, what)
    // The pipe has the error of the whole.
    content.on('error', () => {})
    content.once('end', () => (fault === undefined ? next() : next(fault)))
    content.resume()
  })
  try {
    await pipeline(source, reader, { ...(signal && { signal }) })
  } catch (cause) {
    if (fault !== undefined) throw fault
    if (signal?.aborted === true || !isTarFault(cause)) throw cause
    throw new UserError('ERR_ARCHIVE_INVALID', `Cannot read ${what}: it is no whole tar archive`, { cause })
  }
  if (count === 0) throw invalidArchive(what, 'it is no tar archive, or an empty one')
  return entries
}

/** The error for an archive that breaks a rule. */
export function invalidArchive(what: string, fault: string): UserError {
  return new UserError('ERR_ARCHIVE_INVALID', `Cannot read ${what}: ${fault}`)
}

interface Header {
  readonly name: string
  readonly type?: string | null | undefined
  readonly linkname?: string | null | undefined
  readonly size?: number | undefined
  /** Not among the declared members of tar-stream's headers; a test of ours relies on it. */
  readonly byteOffset?: unknown
}

/** @returns what is wrong */
function add(entries: Map<string, ArchiveEntry>, header: Header, what: string): UserError | undefined {
  const name = header.name.replace(/^(?:\.\/+)+/, '').replace(/\/+$/, '')
  if (header.type === 'directory' || name === '' || name === '.') return undefined
  const shown = JSON.stringify(name.slice(0, 200))
  if (name.startsWith('/') || name.includes('\0') || name.split('/').includes('..'))
    return invalidArchive(what, `the name ${shown} leads out of it`)
  if (entries.has(name)) return invalidArchive(what, `it has ${shown} twice`)
  const { type, size = 0, byteOffset } = header
  if (type === 'symlink' || type === 'link')
    entries.set(name, { type: 'link', target: header.linkname ?? '', hard: type === 'link' })
  else if (type === 'file' || type === 'contiguous-file') {
    if (typeof byteOffset !== 'number') throw new TypeError('tar-stream does not say where an entry is')
    entries.set(name, { type: 'file', offset: byteOffset, size })
  }
  return undefined
}

/** Faults of the parser have no code; those of a file or a connection do. */
function isTarFault(error: unknown): boolean {
  return error instanceof Error && (!('code' in error) || error.code === 'ERR_STREAM_PREMATURE_CLOSE')
}
