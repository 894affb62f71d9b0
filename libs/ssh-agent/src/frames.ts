import { MalformedMessage, wireBytes } from './wire.ts'

/** The longest message that is read: what OpenSSH's agent takes. */
export const maxMessageBytes = 256 * 1024

const headerBytes = 4

/**
 * Splits what a peer sends into messages, each valid until the next is asked for. Memory is used for what came, not for what
 * is announced; a message that the end cuts off is dropped.
 *
 * @throws {MalformedMessage} for an empty message or one of more than {@link maxMessageBytes}: nothing after it can be read
 */
export async function* readMessages(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, undefined> {
  let buffer: Buffer = Buffer.alloc(0)
  let used = 0
  for await (const chunk of chunks) {
    // Grows by doubling: a peer may send single bytes.
    if (used + chunk.length > buffer.length) buffer = grown(buffer, used, chunk.length)
    used += chunk.copy(buffer, used)
    let at = 0
    for (let length = announced(buffer, at, used); at + headerBytes + length <= used; ) {
      yield buffer.subarray(at + headerBytes, at + headerBytes + length)
      at += headerBytes + length
      length = announced(buffer, at, used)
    }
    if (at > 0) {
      buffer = Buffer.from(buffer.subarray(at, used))
      used = buffer.length
    }
  }
}

/** The length of the message that begins at `at`; infinite while its header has not come. */
function announced(buffer: Buffer, at: number, used: number): number {
  if (used - at < headerBytes) return Number.POSITIVE_INFINITY
  const length = buffer.readUInt32BE(at)
  if (length === 0 || length > maxMessageBytes)
    throw new MalformedMessage(`a message of ${length} bytes is announced`)
  return length
}

function grown(buffer: Buffer, used: number, more: number): Buffer {
  const larger = Buffer.alloc(Math.max(2 * buffer.length, used + more))
  buffer.copy(larger, 0, 0, used)
  return larger
}

/** A message as it is sent. */
export function framed(message: Buffer): Buffer {
  return wireBytes(message)
}
