import type { Readable } from 'node:stream'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import {
  type HttpResponse,
  isTransientStatus,
  LocalFailure,
  TransientFailure,
  type Tries,
} from '@tsbuild/http'
import { hasBlob } from './blobs.ts'
import type { Connection, RegistryRequest } from './connection.ts'
import type { RemoteBlob } from './download.ts'
import { resolveLocation } from './endpoint.ts'
import { nonsense, type Purpose } from './failures.ts'
import { readLocal } from './local-bytes.ts'
import { purposeOf, pushScope } from './manifests.ts'
import type { UploadOptions } from './types.ts'
import { UploadPlan } from './upload-plan.ts'

/** Up to here a blob is sent with the request that also closes the upload: one round trip less, nothing to continue. */
const singleRequestBytes = 1024 * 1024
/** How often a registry may refuse to go on with an upload. */
const maxRestarts = 2
/** How many uploads are begun for one blob, whatever happens to them: each may send all of it. */
const maxSessions = 6
/** How often a registry may fail to say where an upload is before it is begun anew. */
const maxStatusFailures = 3
/** A registry reads a blob again before it answers that it is whole, and object stores copy it: so fast at least. */
const closingBytesPerMs = 16 * 1024
const maxClosingMs = 600_000

/** A blob on its way to a registry. */
export interface LocalBlob extends RemoteBlob {
  /** Opens the bytes from an offset to the end. */
  readonly openRange: (offset: number) => Readable
}

/** One blob's upload: a session of the registry's, its address, and how far it has got. */
export class Upload {
  readonly #connection: Connection
  readonly #blob: LocalBlob
  readonly #options: UploadOptions
  readonly #purpose: Purpose
  readonly #plan: UploadPlan
  #location: URL | undefined
  #offset = 0
  #restarts = 0
  #sessions = 0
  #statusFailures = 0
  /** Whether the registry's count of bytes must be asked for: after each fault. */
  #unsure = false
  /** The offset that the registry refused; to be told the same again is no help. */
  #refusedAt: number | undefined

  constructor(connection: Connection, blob: LocalBlob, options: UploadOptions) {
    this.#connection = connection
    this.#blob = blob
    this.#options = options
    this.#purpose = purposeOf('push', blob.reference, blob.descriptor.digest)
    this.#plan = new UploadPlan(blob.descriptor.size)
  }

  /**
   * Resolves when the registry has the blob, whatever came in between.
   * @param begun the address of an upload that the registry began of itself
   */
  async run(begun?: string): Promise<void> {
    const { signal } = this.#options
    if (begun !== undefined) {
      this.#sessions++
      const endpoint = this.#connection.endpoint(this.#blob.reference.registry)
      this.#location = resolveLocation(endpoint, endpoint.origin, begun)
    }
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
    this.#plan.wantsAtLeast(Number(response.header('oci-chunk-min-length') ?? 0))
    return this.#moveTo(response, undefined)
  }

  /** Sends the next part; where the registry took less of it, the caller goes on from there. */
  async #send(tries: Tries): Promise<void> {
    const from = this.#offset
    const location = this.#location ?? (await this.#start())
    const length = this.#plan.lengthAt(from)
    const response = await this.#sendBody(location, from, length)
    // ECR says 201 to a part.
    if (response.status !== 202 && response.status !== 201 && response.status !== 204)
      return this.#refused(response, from, length)
    await response.discard()
    this.#moveTo(response, location)
    const sent = from + length
    const received = receivedBytes(response.header('range'), sent) ?? sent
    // What was accepted cannot be nothing. ECR's count stays where its first part ended; the digest shows whether all came.
    this.#offset = received > from && received > 1 ? received : sent
    tries.reset()
    this.#options.onProgress?.(this.#offset)
  }

  async #sendBody(location: URL, from: number, length: number): Promise<HttpResponse> {
    const range = { from, length }
    try {
      return await this.#exchange('PATCH', location, this.#bodyHeaders(range, true), range)
    } catch (error) {
      if (!(error instanceof TransientFailure || error instanceof LocalFailure || isBuildError(error)))
        this.#plan.wasCut()
      throw error
    }
  }

  async #refused(response: HttpResponse, from: number, length: number): Promise<void> {
    const { status } = response
    // GHCR says 416 to a first part that is too large for it.
    const tooLarge = status === 413 || (status === 416 && from === 0)
    if (tooLarge || status === 400 || status === 405 || status === 501) {
      const failure = await this.#connection.failure(response, this.#purpose)
      if (!this.#plan.wasRefused(length, tooLarge)) throw finalOf(failure)
      return this.#beginAnew(failure)
    }
    if (status === 404) return this.#restartOrFail(response)
    // Out of order, as the registry counts: it is asked how far it is.
    if (status === 416) {
      this.#refusedAt = from
      throw again(await this.#connection.failure(response, this.#purpose))
    }
    // All of it may have been sent to no avail, and too long a body may be why.
    if (isTransientStatus(status)) this.#plan.wasCut()
    throw await this.#connection.failure(response, this.#purpose)
  }

  /** Closes the upload, with the bytes from `from` on in the same request. */
  async #close(location: URL, from: number): Promise<void> {
    const { digest, size } = this.#blob.descriptor
    const url = new URL(location)
    // The registry's own query may be signed: it goes back as it came.
    url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`
    const range = from < size ? { from, length: size - from } : undefined
    const headers = range === undefined ? { 'content-length': '0' } : this.#bodyHeaders(range, false)
    const response = await this.#exchange('PUT', url, headers, range)
    if (response.status === 201 || response.status === 204) return response.discard()
    if (response.status === 404 || response.status === 416 || response.status === 400) {
      return this.#restartOrFail(response)
    }
    throw await this.#connection.failure(response, this.#purpose)
  }

  /** After a fault: perhaps all arrived and only the answer was lost; perhaps part of it did; perhaps all is gone. */
  async #recover(tries: Tries): Promise<boolean> {
    if (await hasBlob(this.#connection, this.#blob, this.#options)) return true
    const { size } = this.#blob.descriptor
    const location = this.#location
    const received =
      location === undefined || size <= singleRequestBytes ? undefined : await this.#askReceived(location)
    this.#unsure = false
    // "0-0" means nothing to some registries and one byte to others; a new upload is never wrong.
    if (received === undefined || received <= 1 || received === this.#refusedAt) {
      this.#location = undefined
      this.#offset = 0
    } else {
      if (received > this.#offset) tries.reset()
      this.#offset = received
    }
    this.#refusedAt = undefined
    return false
  }

  /** How far the registry says it is; undefined where it does not know the upload, or cannot say. */
  async #askReceived(location: URL): Promise<number | undefined> {
    const response = await this.#exchange('GET', location, {})
    const { status } = response
    if (isTransientStatus(status) && (status === 429 || ++this.#statusFailures < maxStatusFailures))
      throw await this.#connection.failure(response, this.#purpose)
    await response.discard()
    if (status !== 204) return undefined
    this.#moveTo(response, location)
    return receivedBytes(response.header('range'), this.#blob.descriptor.size)
  }

  async #restartOrFail(response: HttpResponse): Promise<void> {
    const failure = await this.#connection.failure(response, this.#purpose)
    if (++this.#restarts > maxRestarts) throw finalOf(failure)
    this.#beginAnew(failure)
  }

  #beginAnew(failure: Error): never {
    this.#location = undefined
    this.#offset = 0
    throw again(failure)
  }

  #bodyHeaders({ from, length }: SentRange, withRange: boolean): Record<string, string> {
    const whole = length === this.#blob.descriptor.size
    return {
      'content-type': 'application/octet-stream',
      'content-length': String(length),
      ...(withRange && !whole ? { 'content-range': `${from}-${from + length - 1}` } : {}),
    }
  }

  #exchange(
    method: RegistryRequest['method'],
    target: string | URL,
    headers: Record<string, string>,
    range?: SentRange,
  ): Promise<HttpResponse> {
    const { registry, repository } = this.#blob.reference
    const closingMs = Math.min(this.#blob.descriptor.size / closingBytesPerMs, maxClosingMs)
    return this.#connection.exchange({
      registry,
      scopes: [pushScope(repository)],
      method,
      target,
      headers,
      body: range === undefined ? undefined : () => this.#read(range),
      purpose: this.#purpose,
      signal: this.#options.signal,
      ...(method === 'PUT' ? { patienceMs: closingMs } : {}),
    })
  }

  #read({ from, length }: SentRange): Readable {
    const { openRange, descriptor } = this.#blob
    return readLocal(openRange(from), {
      length,
      last: from + length === descriptor.size,
      // The end is told when the registry has said that it has it.
      onRead: (bytes) => this.#options.onProgress?.(Math.min(from + bytes, descriptor.size - 1)),
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

/** A part of the blob that one request carries, in bytes. */
interface SentRange {
  readonly from: number
  readonly length: number
}

/** Tries again at once: the registry is well, only this way of asking is not. */
function again(failure: Error): TransientFailure {
  return new TransientFailure(
    isBuildError(failure) ? failure : new EnvironmentError('ERR_REGISTRY_STATUS', failure.message),
    { retryAfterMs: 0 },
  )
}

function finalOf(failure: Error): Error {
  return failure instanceof TransientFailure ? failure.failure : failure
}

/** `0-99` means 100 bytes; more than there are makes no sense. */
function receivedBytes(range: string | undefined, size: number): number | undefined {
  const match = /^(?:bytes=)?0-(\d+)$/.exec(range?.trim() ?? '')
  const received = match === null ? Number.NaN : Number(match[1]) + 1
  return Number.isSafeInteger(received) && received <= size ? received : undefined
}
