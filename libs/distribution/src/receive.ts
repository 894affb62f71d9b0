import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Reservation } from './disk-room.ts'

/** What was received into a file. */
export interface Received {
  readonly size: number
  readonly sha256: Hash
  readonly sha512: Hash | undefined
  /** Why it ended before the body did. */
  readonly failure: unknown
}

/** Written at once. */
const batchBytes = 512 * 1024

/**
 * Writes a body into a new file and hashes it on the way. Not synced: whoever makes it content does that.
 *
 * @returns also where the body failed, with what came until then
 * @throws where the file cannot be written, or there is no room for it
 */
export async function receiveInto(
  path: string,
  body: Readable,
  room: Reservation,
  alsoSha512: boolean,
): Promise<Received> {
  const sha256 = createHash('sha256')
  const sha512 = alsoSha512 ? createHash('sha512') : undefined
  const batch = new Batch(await open(path, 'wx', 0o600), room)
  let failure: unknown
  try {
    try {
      for await (const part of readParts(body)) {
        sha256.update(part)
        sha512?.update(part)
        await batch.add(part)
      }
    } catch (error) {
      if (batch.failed) throw error
      failure = error
    }
    await batch.flush()
    return { size: batch.size, sha256, sha512, failure }
  } finally {
    body.destroy()
    await batch.file.close()
  }
}

async function* readParts(body: Readable): AsyncGenerator<Buffer> {
  for await (const part of body) yield part
}

class Batch {
  readonly file: FileHandle
  size = 0
  failed = false
  readonly #room: Reservation
  #parts: Buffer[] = []
  #bytes = 0

  constructor(file: FileHandle, room: Reservation) {
    this.file = file
    this.#room = room
  }

  async add(part: Buffer): Promise<void> {
    this.#parts.push(part)
    this.#bytes += part.length
    if (this.#bytes >= batchBytes) await this.flush()
  }

  async flush(): Promise<void> {
    let parts = this.#parts
    this.#parts = []
    this.#bytes = 0
    try {
      while (parts.length > 0) {
        const { bytesWritten } = await this.file.writev(parts)
        this.size += bytesWritten
        this.#room.wrote(bytesWritten)
        parts = without(parts, bytesWritten)
      }
    } catch (error) {
      this.failed = true
      throw error
    }
  }
}

/** What is left of parts after so many bytes. */
function without(parts: readonly Buffer[], written: number): Buffer[] {
  let left = written
  return parts.flatMap((part) => {
    const skipped = Math.min(left, part.length)
    left -= skipped
    return skipped === part.length ? [] : [part.subarray(skipped)]
  })
}
