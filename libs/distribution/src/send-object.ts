import { type FileHandle, open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { ObjectBody } from '@tsbuild/object-store'

/** Read at once. Measured: larger parts save little, smaller ones cost a third of the pace. */
const partBytes = 1024 * 1024

/**
 * Sends the bytes of an object after its headers were written, and ends the answer. A file is read in large parts into memory
 * that is used again, as many as are on their way to the socket; anything else is piped.
 *
 * @param part what `object.stream` holds: the range that it was opened with, both ends included
 * @throws where the object is shorter than it was, or the client has gone
 */
export async function sendObject(
  response: ServerResponse,
  object: ObjectBody,
  part: { readonly start: number; readonly end: number },
): Promise<void> {
  if (object.path === undefined || part.end - part.start < partBytes / 4) {
    return pipeline(object.stream, response)
  }
  let file: FileHandle
  try {
    file = await open(object.path, 'r')
  } finally {
    object.stream.destroy()
  }
  try {
    await sendFile(response, file, part.start, part.end)
  } finally {
    await file.close()
  }
}

async function sendFile(
  response: ServerResponse,
  file: FileHandle,
  start: number,
  end: number,
): Promise<void> {
  const free: Buffer[] = []
  let position = start
  while (position <= end) {
    const length = Math.min(partBytes, end - position + 1)
    const buffer = free.pop() ?? Buffer.allocUnsafeSlow(Math.min(partBytes, end - start + 1))
    const { bytesRead } = await file.read(buffer, 0, length, position)
    if (bytesRead === 0) throw new Error(`The file ended ${end - position + 1} bytes early`)
    position += bytesRead
    const wantsMore = response.write(
      bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead),
      () => {
        free.push(buffer)
      },
    )
    if (!wantsMore) await drained(response)
  }
  response.end()
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      response.off('drain', settle).off('close', settle)
      if (response.destroyed) reject(new Error('The client has gone'))
      else resolve()
    }
    response.once('drain', settle).once('close', settle)
    if (response.destroyed) settle()
  })
}
