import { Readable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import { type HttpResponse, LocalFailure, TransientFailure, type Tries } from '@tsbuild/http'
import type { Connection, RegistryRequest } from './connection.ts'
import type { RemoteBlob } from './download.ts'
import { resolveLocation } from './endpoint.ts'
import { nonsense, type Purpose } from './failures.ts'
import { pullScope, purposeOf, pushScope } from './manifests.ts'
import type { CallOptions, UploadOptions, UploadOutcome } from './types.ts'

/** Up to here a blob is sent with the request that also closes the upload: one round trip less, nothing to continue. */
const singleRequestBytes = 1024 * 1024
/** How often a registry may refuse to go on with an upload. */
const maxRestarts = 2
/** How many uploads are begun for one blob, whatever happens to them: each may send all of it. */
const maxSessions = 6

/** A blob on its way to a registry. */
export interface LocalBlob extends RemoteBlob {
  /** Opens the bytes from an offset to the end. */
  readonly openRange: (offset: number) => Readable
}

/** Puts a blob into a repository; see `RegistryClient.uploadBlob`. */
export async function uploadBlob(
  connection: Connection,
  blob: LocalBlob,
  options: UploadOptions,
): Promise<UploadOutcome> {
  if (await hasBlob(connection, blob, options)) return 'exists'
  for (const repository of options.mountFrom ?? []) {
    if (await mountBlob(connection, blob, repository, options)) return 'mounted'
  }
  await new Upload(connection, blob, options).run()
  options.onProgress?.(blob.descriptor.size)
  return 'uploaded'
}

/** Asks whether a repository has a blob. */
export async function hasBlob(
  connection: Connection,
  blob: RemoteBlob,
  options: CallOptions,
): Promise<boolean> {
  const { reference, descriptor } = blob
  const purpose = purposeOf('look up', reference, descriptor.digest)
  return connection.retry(purpose, options.signal, async () => {
    const response = await connection.exchange({
      registry: reference.registry,
      // Asked before a push, as a rule: one token for both.
      scopes: [pushScope(reference.repository)],
      method: 'HEAD',
      target: `/v2/${reference.repository}/blobs/${descriptor.digest}`,
      purpose,
      signal: options.signal,
    })
    await response.discard()
    if (response.status === 404) return false
    if (response.status !== 200) throw await connection.failure(response, purpose)
    const length = response.header('content-length')
    return length === undefined || Number(length) === descriptor.size
  })
}

/** Asks a registry to take a blob over from another of its repositories. Never an error: sending it is the way out. */
export async function mountBlob(
  connection: Connection,
  blob: Pick<RemoteBlob, 'reference'> & { readonly descriptor: { readonly digest: Digest } },
  fromRepository: string,
  options: CallOptions,
): Promise<boolean> {
  const { reference, descriptor } = blob
  if (fromRepository === reference.repository) return false
  const query = new URLSearchParams({ mount: descriptor.digest, from: fromRepository })
  const purpose = purposeOf('mount', reference, descriptor.digest)
  try {
    return await connection.retry(purpose, options.signal, async () => {
      const response = await connection.exchange({
        registry: reference.registry,
        scopes: [pushScope(reference.repository), pullScope(fromRepository)],
        method: 'POST',
        target: `/v2/${reference.repository}/blobs/uploads/?${query}`,
        headers: { 'content-length': '0' },
        purpose,
        signal: options.signal,
      })
      await response.discard()
      return response.status === 201
    })
  } catch (error) {
    if (isBuildError(error) && error.code !== 'ERR_CANCELLED') return false
    throw error
  }
}

/** One blob's upload: a session of the registry's, its address, and how far it has got. */
class Upload {
  readonly #connection: Connection
  readonly #blob: LocalBlob
  readonly #options: UploadOptions
  readonly #purpose: Purpose
  #location: URL | undefined
  #offset = 0
  #restarts = 0
  #sessions = 0
  /** Whether the registry's count of bytes must be asked for: after each fault. */
  #unsure = false

  constructor(connection: Connection, blob: LocalBlob, options: UploadOptions) {
    this.#connection = connection
    this.#blob = blob
    this.#options = options
    this.#purpose = purposeOf('push', blob.reference, blob.descriptor.digest)
  }

  async run(): Promise<void> {
    const { signal } = this.#options
    await this.#connection.retry(this.#purpose, signal, async (tries) => {
      try {
        await this.#step(tries)
      } catch (error) {
        this.#unsure = true
        throw error
      }
    })
  }

  async #step(tries: Tries): Promise<void> {
    const { size } = this.#blob.descriptor
    if (this.#unsure && (await this.#recover(tries))) return
    const location = this.#location ?? (await this.#start())
    if (size <= singleRequestBytes && this.#offset === 0) return this.#close(location, 0)
    while (this.#offset < size) await this.#send(tries)
    await this.#close(this.#location ?? location, size)
  }

  async #start(): Promise<URL> {
    if (++this.#sessions > maxSessions)
      throw nonsense(this.#purpose, 'as if the upload had never begun, each time')
    const { repository } = this.#blob.reference
    const response = await this.#exchange('POST', `/v2/${repository}/blobs/uploads/`, {
      'content-length': '0',
    })
    if (response.status !== 202) throw await this.#connection.failure(response, this.#purpose)
    await response.discard()
    this.#offset = 0
    return this.#moveTo(response, undefined)
  }

  /** Sends everything that is missing; where the registry took less, the caller goes on from there. */
  async #send(tries: Tries): Promise<void> {
    const { size } = this.#blob.descriptor
    const from = this.#offset
    const location = this.#location ?? (await this.#start())
    const response = await this.#exchange('PATCH', location, this.#bodyHeaders(from, true), from)
    if (response.status === 404 || response.status === 416) return this.#restartOrFail(response)
    if (response.status !== 202 && response.status !== 201 && response.status !== 204) {
      throw await this.#connection.failure(response, this.#purpose)
    }
    await response.discard()
    this.#moveTo(response, location)
    this.#offset = receivedBytes(response.header('range'), size) ?? size
    if (this.#offset <= from) throw new TransientFailure(nonsense(this.#purpose, 'that it took nothing'))
    tries.reset()
    this.#options.onProgress?.(this.#offset)
  }

  /** Closes the upload, with the bytes from `from` on in the same request. */
  async #close(location: URL, from: number): Promise<void> {
    const { digest, size } = this.#blob.descriptor
    const url = new URL(location)
    // The registry's own query may be signed: it goes back as it came.
    url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`
    const headers = from < size ? this.#bodyHeaders(from, false) : { 'content-length': '0' }
    const response = await this.#exchange('PUT', url, headers, from < size ? from : undefined)
    if (response.status === 201 || response.status === 204) return response.discard()
    if (response.status === 404 || response.status === 416 || response.status === 400) {
      return this.#restartOrFail(response)
    }
    throw await this.#connection.failure(response, this.#purpose)
  }

  /** After a fault: perhaps all arrived and only the answer was lost; perhaps part of it did; perhaps all is gone. */
  async #recover(tries: Tries): Promise<boolean> {
    if (await hasBlob(this.#connection, this.#blob, this.#options)) return true
    this.#unsure = false
    const { size } = this.#blob.descriptor
    const location = this.#location
    if (location === undefined) return false
    if (size <= singleRequestBytes) {
      this.#location = undefined
      return false
    }
    const response = await this.#exchange('GET', location, {})
    await response.discard()
    const received = receivedBytes(response.header('range'), size)
    if (response.status === 204 && received !== undefined && received > 1) {
      this.#moveTo(response, location)
      if (received > this.#offset) tries.reset()
      this.#offset = received
    } else {
      // "0-0" means nothing to some registries and one byte to others; a new upload is never wrong.
      this.#location = undefined
      this.#offset = 0
    }
    return false
  }

  async #restartOrFail(response: HttpResponse): Promise<void> {
    const failure = await this.#connection.failure(response, this.#purpose)
    this.#location = undefined
    this.#offset = 0
    if (++this.#restarts > maxRestarts) throw failure
    throw new TransientFailure(
      isBuildError(failure) ? failure : new EnvironmentError('ERR_REGISTRY_STATUS', failure.message),
    )
  }

  #bodyHeaders(from: number, withRange: boolean): Record<string, string> {
    const { size } = this.#blob.descriptor
    return {
      'content-type': 'application/octet-stream',
      'content-length': String(size - from),
      ...(withRange ? { 'content-range': `${from}-${size - 1}` } : {}),
    }
  }

  #exchange(
    method: RegistryRequest['method'],
    target: string | URL,
    headers: Record<string, string>,
    bodyFrom?: number,
  ): Promise<HttpResponse> {
    const { registry, repository } = this.#blob.reference
    return this.#connection.exchange({
      registry,
      scopes: [pushScope(repository)],
      method,
      target,
      headers,
      body: bodyFrom === undefined ? undefined : () => this.#read(bodyFrom),
      purpose: this.#purpose,
      signal: this.#options.signal,
    })
  }

  #read(from: number): Readable {
    const { openRange, descriptor } = this.#blob
    const last = descriptor.size - 1
    return readLocal(openRange(from), descriptor.size - from, (bytes) => {
      // The end is told when the registry has said that it has it.
      this.#options.onProgress?.(Math.min(from + bytes, last))
    })
  }

  /** Each answer may move the upload; one that must say where it is and does not is no answer. */
  #moveTo(response: HttpResponse, current: URL | undefined): URL {
    const { registry } = this.#blob.reference
    const header = response.header('location')
    if (header === undefined && current === undefined)
      throw nonsense(this.#purpose, 'without an upload address')
    const endpoint = this.#connection.endpoint(registry)
    const moved =
      header === undefined ? current : resolveLocation(endpoint, current ?? endpoint.origin, header)
    this.#location = moved
    return moved ?? endpoint.origin
  }
}

/** Tells errors of the local file from those of the connection, which undici would mix. */
function readLocal(source: Readable, size: number, onRead: (bytes: number) => void): Readable {
  const chunks = Readable.from(readChunks(source, size, onRead), { objectMode: false })
  // A request may fail before it has read anything: then nobody else listens, and nobody else closes the file.
  source.on('error', () => undefined)
  chunks.once('close', () => source.destroy())
  return chunks
}

async function* readChunks(
  source: Readable,
  size: number,
  onRead: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let length = 0
  try {
    for await (const chunk of source) {
      length += chunk.length
      if (length > size) break
      yield chunk
      onRead(length)
    }
  } catch (error) {
    throw new LocalFailure(error)
  }
  if (length === size) return
  const relation = length > size ? 'more' : `only ${length}`
  throw new LocalFailure(
    new UserError(
      'ERR_SIZE_MISMATCH',
      `Cannot send a blob: it has ${relation} bytes where ${size} were to be sent`,
    ),
  )
}

/** `0-99` means 100 bytes; more than there are to send makes no sense. */
function receivedBytes(range: string | undefined, size: number): number | undefined {
  const match = /^(?:bytes=)?0-(\d+)$/.exec(range?.trim() ?? '')
  const received = match === null ? Number.NaN : Number(match[1]) + 1
  return Number.isSafeInteger(received) && received <= size ? received : undefined
}
