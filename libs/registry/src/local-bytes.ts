import { Readable } from 'node:stream'
import { UserError } from '@tsbuild/errors'
import { LocalFailure } from '@tsbuild/http'

/** A part of a local blob that is to be sent. */
export interface LocalRange {
  /** In bytes. */
  readonly length: number
  /** Whether the blob ends with it: then what comes after it is an error, not the next part. */
  readonly last: boolean
  /** Told how many bytes of it have been read so far. */
  readonly onRead: (bytes: number) => void
}

/** Reads exactly a range; errors of the local file are told from those of the connection, which undici would mix. */
export function readLocal(source: Readable, range: LocalRange): Readable {
  const chunks = Readable.from(readChunks(source, range), { objectMode: false })
  // A request may fail before it has read anything: then nobody else listens, and nobody else closes the file.
  source.on('error', () => undefined)
  chunks.once('close', () => source.destroy())
  return chunks
}

async function* readChunks(source: Readable, { length, last, onRead }: LocalRange): AsyncGenerator<Buffer> {
  let read = 0
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      const left = length - read
      if (chunk.length > left && last) throw wrongSize('more', length)
      yield chunk.length > left ? chunk.subarray(0, left) : chunk
      read += Math.min(chunk.length, left)
      onRead(read)
      if (read === length && !last) return
    }
  } catch (error) {
    throw new LocalFailure(error)
  }
  if (read < length) throw new LocalFailure(wrongSize(`only ${read}`, length))
}

function wrongSize(relation: string, length: number): UserError {
  return new UserError(
    'ERR_SIZE_MISMATCH',
    `Cannot send a blob: it has ${relation} bytes where ${length} were to be sent`,
  )
}
