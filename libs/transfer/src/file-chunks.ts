import type { FileHandle } from 'node:fs/promises'

const chunkBytes = 256 * 1024

/**
 * The bytes of an open file from `start` up to `end`, or to its end. The position of the file counts for nothing, so any number of
 * these may read one file at once.
 */
export async function* fileChunks(
  file: FileHandle,
  start = 0,
  end: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<Buffer> {
  for (let at = start; at < end; ) {
    const wanted = Math.min(chunkBytes, end - at)
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}
