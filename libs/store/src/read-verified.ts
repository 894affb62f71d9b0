import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { type Digest, digestHex } from '@tsbuild/digest'
import { errnoOf, onDisk } from './fs-failure.ts'

const chunkBytes = 256 * 1024

/** What a disk says of a file that it cannot give back, and what the kernel says of what is no file. */
const unreadable = ['ENOENT', 'ELOOP', 'EISDIR', 'ENXIO', 'EIO']

/**
 * The bytes of a blob's file, hashed on the way. No link is followed, and nothing waits for a FIFO.
 *
 * @param size in bytes, where it is known
 * @throws what `damaged` makes, at the end or as soon as it is clear: the bytes are not those of the digest
 */
export async function* readVerified(
  path: string,
  { digest, size }: { readonly digest: Digest; readonly size?: number | undefined },
  damaged: () => Error,
): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash('sha256')
  let count = 0
  for await (const chunk of readChunks(path)) {
    if (chunk === undefined) throw damaged()
    hash.update(chunk)
    count += chunk.length
    if (size !== undefined && count > size) throw damaged()
    yield chunk
  }
  if (hash.digest('hex') !== digestHex(digest)) throw damaged()
}

/** Ends with undefined where the file cannot be read. */
async function* readChunks(path: string): AsyncGenerator<Buffer | undefined, void, undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes)
        if (bytesRead === 0) return
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (!unreadable.includes(errnoOf(error) ?? ''))
      await onDisk('read blob', path, () => Promise.reject(error))
    yield undefined
  }
}
