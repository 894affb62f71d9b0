import type { Millis } from '@tsbuild/events'
import type { LogStream } from './types.ts'

/*
 * The index of a log: 16 bytes that name the format, then entries of 16 bytes, little-endian:
 *
 *   0  6  offset in the log, in bytes, from which on the entry holds
 *   6  1  1 for stdout, 2 for stderr
 *   7  1  0
 *   8  6  Unix ms
 *  14  2  0
 *
 * An entry is written before the bytes that it is about, and only where the stream or the time is another one.
 */

/** What an index begins with; the last character is the version. */
export const indexHead: Buffer = Buffer.from('tsbuild log idx1', 'latin1')

/** Of the head, and of each entry. */
export const entryBytes = 16

/** From `offset` on, until the next entry, bytes are of this stream and time. */
export interface IndexEntry {
  readonly offset: number
  readonly stream: LogStream
  readonly at: Millis
}

/** One entry as bytes. */
export function encodeEntry({ offset, stream, at }: IndexEntry): Buffer {
  const bytes = Buffer.alloc(entryBytes)
  bytes.writeUIntLE(offset, 0, 6)
  bytes.writeUInt8(stream === 'stdout' ? 1 : 2, 6)
  bytes.writeUIntLE(at, 8, 6)
  return bytes
}

/** @returns undefined for bytes that are no entry */
export function decodeEntry(bytes: Buffer): IndexEntry | undefined {
  if (bytes.length !== entryBytes) return undefined
  const stream = bytes.readUInt8(6)
  if (stream !== 1 && stream !== 2) return undefined
  if (bytes.readUInt8(7) !== 0 || bytes.readUInt16LE(14) !== 0) return undefined
  const at = bytes.readUIntLE(8, 6)
  return { offset: bytes.readUIntLE(0, 6), stream: stream === 1 ? 'stdout' : 'stderr', at }
}
