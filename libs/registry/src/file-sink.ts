import { write } from 'node:fs'
import type { BlobSink } from './types.ts'

/** A sink that writes to an open file at the positions it is given; the caller opens and closes it. */
export function fileSink(fd: number): BlobSink {
  return {
    write: async (chunk, position) => {
      for (let done = 0; done < chunk.byteLength; ) {
        done += await writeOnce(fd, chunk.subarray(done), position + done)
      }
    },
  }
}

function writeOnce(fd: number, chunk: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, chunk, 0, chunk.byteLength, position, (error, written) =>
      error ? reject(error) : resolve(written),
    )
  })
}
