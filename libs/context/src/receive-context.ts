import { createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { addAbortSignal, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { decodeText } from '@tsbuild/dockerfile'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { archiveName } from './archive-context.ts'
import { archiveHeadBytes, isArchive } from './archive-kind.ts'
import { maxDockerfileBytes } from './dockerfile-text.ts'

/** What came in the place of a directory. */
export type Received =
  /** An archive, now in the directory under {@link archiveName}. */
  | { readonly kind: 'archive' }
  /** Anything else: a Dockerfile. */
  | { readonly kind: 'dockerfile'; readonly text: string }

/**
 * Reads a stream to its end: an archive into a file of `directory`, anything else as the text of a Dockerfile. What it is,
 * its first bytes say.
 *
 * @param shown names the stream in messages
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a text of more than 16 MiB; `ERR_CANCELLED`
 * @throws {EnvironmentError} `ERR_STORE_NO_SPACE`
 * @see spec/dockerfile.md 1.7
 */
export async function receiveContext(
  stream: Readable,
  directory: string,
  { shown, signal }: { readonly shown: string; readonly signal: AbortSignal },
): Promise<Received> {
  addAbortSignal(signal, stream)
  try {
    return await receive(stream, directory, shown)
  } catch (error) {
    throw signal.aborted ? new UserError('ERR_CANCELLED', 'The build was cancelled') : error
  }
}

async function receive(stream: Readable, directory: string, shown: string): Promise<Received> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const { bytes, done } = await readAtLeast(chunks, archiveHeadBytes)
  if (!isArchive(bytes)) {
    const rest = done ? { bytes } : await readAtLeast(chunks, maxDockerfileBytes + 1, bytes)
    return { kind: 'dockerfile', text: dockerfileText(rest.bytes, shown) }
  }
  const file = createWriteStream(join(directory, archiveName), { flags: 'wx', mode: 0o600 })
  try {
    await pipeline(continued(bytes, chunks), file)
  } catch (error) {
    throw asNoSpace(error, directory)
  }
  return { kind: 'archive' }
}

/** As {@link receiveContext} for a file that was fetched: it stays where it is. */
export async function inspectFile(path: string, shown: string): Promise<Received> {
  const file = await open(path, 'r')
  try {
    const head = Buffer.alloc(archiveHeadBytes)
    const { bytesRead } = await file.read(head, 0, archiveHeadBytes, 0)
    if (isArchive(head.subarray(0, bytesRead))) return { kind: 'archive' }
    const { size } = await file.stat()
    const bytes = Buffer.alloc(Math.min(size, maxDockerfileBytes + 1))
    const { bytesRead: length } = await file.read(bytes, 0, bytes.length, 0)
    return { kind: 'dockerfile', text: dockerfileText(bytes.subarray(0, length), shown) }
  } finally {
    await file.close()
  }
}

/** @throws {UserError} `ERR_DOCKERFILE_SYNTAX` */
export function dockerfileText(bytes: Uint8Array, shown: string): string {
  if (bytes.length <= maxDockerfileBytes) return decodeText(bytes)
  const message = `Cannot read the Dockerfile from ${shown}: it has more than ${maxDockerfileBytes} bytes`
  throw new UserError('ERR_DOCKERFILE_SYNTAX', message)
}

async function readAtLeast(
  chunks: AsyncIterator<Buffer>,
  wanted: number,
  before: Buffer = Buffer.alloc(0),
): Promise<{ readonly bytes: Buffer; readonly done: boolean }> {
  const parts = [before]
  for (let length = before.length; length < wanted; ) {
    const { value, done } = await chunks.next()
    if (done === true) return { bytes: Buffer.concat(parts), done: true }
    const chunk = Buffer.from(value)
    parts.push(chunk)
    length += chunk.length
  }
  return { bytes: Buffer.concat(parts), done: false }
}

async function* continued(head: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield head
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
}

function asNoSpace(error: unknown, directory: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOSPC') return error
  const message = `Cannot keep the build context below "${directory}": there is no space left`
  return new EnvironmentError('ERR_STORE_NO_SPACE', message, { cause: error })
}
