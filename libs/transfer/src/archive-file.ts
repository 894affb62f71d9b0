import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { addAbortSignal, Readable, type Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import { type ArchiveEntry, indexArchive, invalidArchive, maxDocumentBytes } from '@tsbuild/oci'
import { fileSink } from '@tsbuild/registry'
import { onDisk } from '@tsbuild/store'
import { fileChunks } from './file-chunks.ts'
import { openPipe } from './open-pipe.ts'
import type { PlaceOptions } from './types.ts'
import { createUnzstd } from './unzstd.ts'

/** What an archive may unpack to, and how much more that may be than it is, beyond the first gigabyte. */
const maxUnpackedBytes = 256 * 2 ** 30
const maxRatio = 1000
const ratioFreeBytes = 2 ** 30

/** An archive that can be read at any place. */
export interface ArchiveFile {
  readonly label: string
  readonly entries: ReadonlyMap<string, ArchiveEntry>
  /** The bytes of an entry that is a file, from `offset` on. */
  read(entry: Extract<ArchiveEntry, { type: 'file' }>, offset?: number): AsyncGenerator<Buffer>
  /** @throws {UserError} `ERR_ARCHIVE_INVALID` for more than 4 MiB */
  readSmall(name: string, entry: Extract<ArchiveEntry, { type: 'file' }>): Promise<Buffer>
  close(): Promise<void>
}

/** How a file of an archive, or the archive itself, is compressed, by how it begins. */
export type Packing = 'none' | 'gzip' | 'zstd' | 'unknown'

/**
 * Opens an archive: a file as it lies there; what is compressed, or comes from a pipe, is written to the store's ingest first, without
 * a name, and is gone when it is closed.
 *
 * @param path absolute, or `-`
 * @throws {UserError} `ERR_ARCHIVE_INVALID`, also for what unpacks to 256 GiB, or 1000 times its size
 * @throws {EnvironmentError} `ERR_STORE_NO_SPACE`
 */
export async function openArchiveFile(path: string, options: PlaceOptions): Promise<ArchiveFile> {
  const label = path === '-' ? 'standard input' : path
  if (path !== '-' && (await isPipe(path))) {
    return await spooled(label, await openPipe(path, options.signal), options)
  }
  const input = path === '-' ? undefined : await openInput(path)
  try {
    const found = await input?.stat()
    if (found?.isDirectory() === true) throw invalidArchive(label, 'it is a directory')
    const plain = input !== undefined && found?.isFile() === true && (await packingOf(input)) === 'none'
    if (input !== undefined && plain) return await indexed(label, input, async () => input.close(), options)
    const source = input?.createReadStream({ autoClose: false, start: 0 }) ?? options.stdin
    if (source === undefined)
      throw new UserError('ERR_USAGE', 'Cannot read an archive: there is no standard input')
    return await spooled(label, source, options)
  } catch (error) {
    await input?.close()
    throw error
  }
}

/** Whoever asks for a file that is not there hears of it when it is opened. */
async function isPipe(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFIFO(),
    () => false,
  )
}

async function openInput(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOCTTY)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'permission denied' : String(code)
    throw new UserError('ERR_ARCHIVE_INVALID', `Cannot read "${path}": ${why}`, { cause })
  }
}

async function indexed(
  label: string,
  file: FileHandle,
  close: () => Promise<void>,
  { signal }: PlaceOptions,
): Promise<ArchiveFile> {
  const whole = Readable.from(fileChunks(file), { objectMode: false })
  const entries = await indexArchive(whole, label, signal)
  const read: ArchiveFile['read'] = ({ offset, size }, from = 0) =>
    fileChunks(file, offset + from, offset + size)
  return {
    label,
    entries,
    read,
    async readSmall(name, entry) {
      if (entry.size > maxDocumentBytes)
        throw invalidArchive(label, `${name} is larger than ${maxDocumentBytes} bytes`)
      const chunks: Buffer[] = []
      for await (const chunk of read(entry)) chunks.push(chunk)
      return Buffer.concat(chunks)
    },
    close,
  }
}

/** Into a file of the session, which nobody ever finds under a name. */
async function spooled(label: string, source: Readable, options: PlaceOptions): Promise<ArchiveFile> {
  // Also while it waits for the first byte.
  if (options.signal !== undefined) addAbortSignal(options.signal, source)
  const ingest = await options.store.blobs.ingest()
  let file: FileHandle | undefined
  const close = async () => {
    await file?.close()
    await ingest.abort()
  }
  try {
    await unpackTo(label, source, ingest, options.signal)
    file = await onDisk('read', ingest.path, () => open(ingest.path, 'r'))
    return await indexed(label, file, close, options)
  } catch (error) {
    await close()
    throw error
  }
}

async function unpackTo(
  label: string,
  source: Readable,
  { fd, path }: { readonly fd: number; readonly path: string },
  signal: AbortSignal | undefined,
): Promise<void> {
  const sink = fileSink(fd)
  let taken = 0
  let written = 0
  const count = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      taken += chunk.length
      yield chunk
    }
  }
  const out = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      const at = written
      written += chunk.length
      if (isTooMuch(taken, written))
        return callback(invalidArchive(label, 'it unpacks to more than the limits allow'))
      onDisk('write', path, () => sink.write(chunk, at)).then(() => callback(), callback)
    },
  })
  const { first, rest } = await firstChunk(source)
  const unpack = await unpackerOf(label, packingOfBytes(first))
  const stages = [
    Readable.from(count(rest), { objectMode: false }),
    ...(unpack === undefined ? [] : [unpack]),
    out,
  ]
  try {
    await pipeline(stages, { ...(signal && { signal }) })
  } catch (error) {
    if (isBuildError(error) || signal?.aborted === true || !isUnpackFault(error)) throw error
    throw new UserError('ERR_ARCHIVE_INVALID', `Cannot read ${label}: its compressed form is damaged`, {
      cause: error,
    })
  }
}

/** Whether so many bytes may not come out of so many. */
export function isTooMuch(packedBytes: number, unpackedBytes: number): boolean {
  if (unpackedBytes > maxUnpackedBytes) return true
  return unpackedBytes > ratioFreeBytes && unpackedBytes > maxRatio * packedBytes
}

async function unpackerOf(label: string, packing: Packing): Promise<Transform | undefined> {
  switch (packing) {
    case 'none':
      return undefined
    case 'gzip':
      return createGunzip()
    case 'zstd':
      return await createUnzstd()
    case 'unknown':
      throw new UserError(
        'ERR_ARCHIVE_INVALID',
        `Cannot read ${label}: it is no tar archive, and neither gzip nor zstd`,
        {
          hints: ['Unpack other compressions first, for example with `xz -dc image.tar.xz | tsbuild load`.'],
        },
      )
  }
}

/** Of zlib `Z_…`, of fzstd a number or none; others are the disk's or the pipe's. */
function isUnpackFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return !('code' in error) || typeof error.code === 'number' || /^(?:Z|ZSTD)_/.test(String(error.code))
}

/** Enough to see what it is; all bytes come again. */
async function firstChunk(source: Readable): Promise<{ first: Buffer; rest: AsyncIterable<Buffer> }> {
  const iterator: AsyncIterator<Buffer> = source[Symbol.asyncIterator]()
  const parts: Buffer[] = []
  let length = 0
  while (length < 512) {
    const next = await iterator.next()
    if (next.done === true) break
    parts.push(next.value)
    length += next.value.length
  }
  const first = Buffer.concat(parts)
  return {
    first,
    rest: (async function* () {
      yield first
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
        yield next.value
    })(),
  }
}

async function packingOf(file: FileHandle): Promise<Packing> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0)
  return packingOfBytes(buffer.subarray(0, bytesRead))
}

/** What a file is by how it begins: a tar, a compressed file, or neither. */
export function packingOfBytes(bytes: Buffer): Packing {
  if (bytes.length >= 2 && bytes.readUInt16BE(0) === 0x1f8b) return 'gzip'
  if (bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528) return 'zstd'
  // An old tar has no mark; its checksum is for the reader. Zeros alone are an archive without entries.
  if (bytes.length >= 512 && (bytes.toString('latin1', 257, 262) === 'ustar' || isChecksummed(bytes)))
    return 'none'
  return 'unknown'
}

function isChecksummed(block: Buffer): boolean {
  const said = Number.parseInt(block.toString('latin1', 148, 156).replace(/[\0 ].*$/s, ''), 8)
  let sum = 8 * 0x20
  for (let at = 0; at < 512; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0
  return sum === said || block.subarray(0, 512).every((byte) => byte === 0)
}

/** The error for a file that a document names and the archive does not have. */
export function missingEntry(label: string, name: string): EnvironmentError | UserError {
  return invalidArchive(label, `it has no ${JSON.stringify(name.slice(0, 200))}`)
}
