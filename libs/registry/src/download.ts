import { createHash, type Hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { digestFromHex } from '@tsbuild/digest'
import { isBuildError, UserError } from '@tsbuild/errors'
import {
  type HttpResponse,
  LocalFailure,
  progressBytes,
  startPace,
  TransientFailure,
  type Tries,
} from '@tsbuild/http'
import type { Descriptor, ImageReference } from '@tsbuild/oci'
import type { Connection } from './connection.ts'
import { interrupted, nonsense, type Purpose } from './failures.ts'
import { notFound, pullScope, purposeOf } from './manifests.ts'
import type { BlobSink, CallOptions, TransferOptions } from './types.ts'

/** A blob of a repository. */
export interface RemoteBlob {
  readonly reference: ImageReference
  readonly descriptor: Descriptor
}

/**
 * Opens a blob at an offset; the answer's `skip` bytes come before it and are to be thrown away. A server that knows the
 * blob and says 416 to a part of it is asked for the whole.
 */
export async function openBlob(
  connection: Connection,
  blob: RemoteBlob,
  offset: number,
  options: CallOptions,
): Promise<{ readonly body: Readable; readonly skip: number }> {
  const { reference, descriptor } = blob
  const purpose = purposeOf('pull', reference, descriptor.digest)
  const ask = (range: Record<string, string>) =>
    connection.exchange({
      registry: reference.registry,
      scopes: [pullScope(reference.repository)],
      method: 'GET',
      target: `/v2/${reference.repository}/blobs/${descriptor.digest}`,
      // Layers are compressed already, and the digest is that of the bytes as they are stored.
      headers: { 'accept-encoding': 'identity', ...range },
      purpose,
      signal: options.signal,
    })
  let response = await ask(offset > 0 ? { range: `bytes=${offset}-` } : {})
  if (response.status === 416 && offset > 0) {
    await response.discard()
    response = await ask({})
  }
  if (response.status === 404) throw await notFound(response, reference, descriptor.digest)
  if (response.status !== 200 && response.status !== 206) throw await connection.failure(response, purpose)
  const skip = response.status === 206 ? 0 : offset
  const fault =
    rangeFault(response, offset, descriptor.size) ?? lengthFault(response, offset - skip, descriptor)
  if (fault !== undefined) {
    await response.discard()
    throw fault instanceof Error ? fault : new TransientFailure(nonsense(purpose, fault), { maxAttempts: 2 })
  }
  return { body: response.body, skip }
}

/** Copies a blob into a sink; see `RegistryClient.downloadBlob`. */
export async function downloadBlob(
  connection: Connection,
  blob: RemoteBlob,
  sink: BlobSink,
  options: TransferOptions,
): Promise<void> {
  try {
    await copyBlob(connection, blob, sink, options)
  } catch (error) {
    if (!isBuildError(error)) throw error
    if (error.code !== 'ERR_DIGEST_MISMATCH' && error.code !== 'ERR_SIZE_MISMATCH') throw error
    // A cache on the way may have mixed things up once; twice is no accident.
    await copyBlob(connection, blob, sink, options)
  }
}

async function copyBlob(
  connection: Connection,
  blob: RemoteBlob,
  sink: BlobSink,
  options: TransferOptions,
): Promise<void> {
  const { reference, descriptor } = blob
  const purpose = purposeOf('pull', reference, descriptor.digest)
  const copy: Copy = { blob, sink, purpose, now: connection.now, hash: createHash('sha256'), position: 0 }
  await connection.retry(purpose, options.signal, async (tries) => {
    if (copy.position === descriptor.size && descriptor.size > 0) return
    const { body, skip } = await openBlob(connection, blob, copy.position, options)
    await copyBody(copy, body, skip, { tries, options })
  })
  const actual = digestFromHex(copy.hash.digest('hex'))
  if (actual !== descriptor.digest) {
    throw new UserError(
      'ERR_DIGEST_MISMATCH',
      `Cannot ${purpose.what}: the digest of what ${purpose.host} sends is ${actual}`,
    )
  }
}

interface Copy {
  readonly blob: RemoteBlob
  readonly sink: BlobSink
  readonly purpose: Purpose
  readonly hash: Hash
  readonly now: () => number
  /** Bytes that are written and hashed. */
  position: number
}

async function copyBody(
  copy: Copy,
  body: Readable,
  skip: number,
  { tries, options }: { tries: Tries; options: TransferOptions },
): Promise<void> {
  const { size } = copy.blob.descriptor
  const start = copy.position
  const pace = startPace(copy.now, start)
  for await (const chunk of withoutFirst(body, skip)) {
    if (copy.position + chunk.length > size) throw tooLong(copy.purpose, size)
    await writeToSink(copy, chunk)
    copy.hash.update(chunk)
    copy.position += chunk.length
    if (copy.position - start >= progressBytes) tries.reset()
    options.onProgress?.(copy.position)
    if (pace.isTooSlow(copy.position) && copy.position < size)
      throw interrupted(copy.purpose, 'hardly any bytes')
  }
  if (copy.position !== size) throw interrupted(copy.purpose, `only ${copy.position} of ${size} bytes`)
}

/** The stream without its first bytes: for servers that answer a range with the whole. */
export function withoutFirst(body: Readable, bytes: number): Readable {
  return bytes === 0 ? body : Readable.from(dropFirst(body, bytes), { objectMode: false })
}

async function* dropFirst(body: Readable, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes
  for await (const chunk of body) {
    const dropped = Math.min(left, chunk.length)
    left -= dropped
    if (dropped < chunk.length) yield chunk.subarray(dropped)
  }
}

/** A full disk is no fault of the network and no reason to try again. */
async function writeToSink(copy: Copy, chunk: Buffer): Promise<void> {
  try {
    await copy.sink.write(chunk, copy.position)
  } catch (error) {
    throw new LocalFailure(error)
  }
}

function rangeFault(response: HttpResponse, offset: number, size: number): string | undefined {
  if (response.status !== 206) return undefined
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.header('content-range') ?? '')
  const [, start, , total] = range ?? []
  if (Number(start) !== offset) return `with another range than ${offset}- was asked for`
  return total === '*' || Number(total) === size ? undefined : `that the blob has ${total} bytes, not ${size}`
}

function lengthFault(response: HttpResponse, from: number, descriptor: Descriptor): UserError | undefined {
  const announced = response.header('content-length')
  if (announced === undefined || Number(announced) === descriptor.size - from) return undefined
  return new UserError(
    'ERR_SIZE_MISMATCH',
    `Cannot pull ${descriptor.digest}: the registry announces ${announced} bytes, its descriptor says ${descriptor.size - from}`,
  )
}

function tooLong(purpose: Purpose, size: number): UserError {
  return new UserError(
    'ERR_SIZE_MISMATCH',
    `Cannot ${purpose.what}: ${purpose.host} sends more than its ${size} bytes`,
  )
}
