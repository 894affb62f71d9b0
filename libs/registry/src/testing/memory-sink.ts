import type { BlobSink } from '../types.ts'

/** A sink that keeps what it is given, for tests. */
export interface MemorySink extends BlobSink {
  bytes(): Buffer
  /** Bytes given so far, those that were given twice counted twice. */
  written(): number
}

/** Makes an empty sink. */
export function memorySink(): MemorySink {
  let content = Buffer.alloc(0)
  let length = 0
  let total = 0
  return {
    write: async (chunk, position) => {
      const needed = position + chunk.byteLength
      if (needed > content.length)
        content = Buffer.concat([content, Buffer.alloc(2 * needed - content.length)])
      content.set(chunk, position)
      length = Math.max(length, needed)
      total += chunk.byteLength
    },
    bytes: () => content.subarray(0, length),
    written: () => total,
  }
}
