import { maxDigests, parseMissingReply } from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, redact } from '@tsbuild/errors'
import type { Scope } from '@tsbuild/trust'
import pLimit from 'p-limit'
import type { ExportableBlob } from '../types.ts'
import type { ServerConnection } from './connection.ts'

/** Blobs that are sent at a time, beside steps that run. */
const atATime = 3

/** Where blobs go. */
export interface BlobPlace {
  readonly connection: ServerConnection
  readonly scope: Scope
  /** Of the scope. */
  readonly repository: string
  /** Repositories of the same server that a blob may be mounted from, where it came from this server. */
  readonly others: readonly string[]
}

interface Waiting {
  readonly blob: ExportableBlob
  readonly done: () => void
  readonly fail: (why: unknown) => void
}

/**
 * Sends what a scope lacks. What comes at a time is asked for in one request, and while that is under way what comes waits for the next.
 */
export class BlobSender {
  readonly counts = { sentBlobs: 0, sentBytes: 0, skippedBlobs: 0 }
  readonly #place: (signal: AbortSignal) => Promise<BlobPlace>
  readonly #signal: AbortSignal
  readonly #limit = pLimit(atATime)
  readonly #sent = new Map<Digest, { readonly blob: ExportableBlob; readonly done: Promise<void> }>()
  #waiting: Waiting[] = []
  #isAsking = false

  constructor(place: (signal: AbortSignal) => Promise<BlobPlace>, signal: AbortSignal) {
    this.#place = place
    this.#signal = signal
  }

  /** Resolves when the scope has the blob. */
  send(blob: ExportableBlob): Promise<void> {
    const { digest } = blob.layer
    const known = this.#sent.get(digest)
    if (known !== undefined) return known.done
    const done = new Promise<void>((resolve, fail) => {
      this.#waiting.push({ blob, done: resolve, fail })
    })
    this.#sent.set(digest, { blob, done })
    if (!this.#isAsking) {
      this.#isAsking = true
      setImmediate(() => void this.#askAll())
    }
    return done
  }

  /** Sends blobs once more that the server said to have, and lacks. @returns false where one of them was never sent */
  async sendAgain(digests: readonly Digest[]): Promise<boolean> {
    const again = digests.map((digest) => this.#sent.get(digest)?.blob)
    if (!again.every((blob) => blob !== undefined)) return false
    const place = await this.#place(this.#signal)
    await Promise.all(again.map((blob) => this.#limit(() => this.#upload(blob, place))))
    return true
  }

  async #askAll(): Promise<void> {
    for (;;) {
      const part = this.#waiting.splice(0, maxDigests)
      if (part.length === 0) break
      try {
        await this.#ask(part)
      } catch (error) {
        for (const { fail } of part) fail(error)
      }
    }
    this.#isAsking = false
  }

  async #ask(part: readonly Waiting[]): Promise<void> {
    const place = await this.#place(this.#signal)
    const { connection, scope } = place
    const body = { scope, digests: part.map(({ blob }) => blob.layer.digest) }
    const call = {
      method: 'POST',
      path: '/v1/missing',
      body,
      purpose: 'store',
      signal: this.#signal,
    } as const
    const reply = parseMissingReply(await connection.call(call), part.length)
    if (reply === undefined) {
      const what = `Cannot use cache-server "${redact(connection.name)}"`
      throw new EnvironmentError('ERR_CACHE_SERVER', `${what}: its answer to /v1/missing makes no sense`)
    }
    const missing = new Set(reply.missing)
    for (const [index, { blob, done, fail }] of part.entries()) {
      if (missing.has(index)) this.#limit(() => this.#upload(blob, place)).then(done, fail)
      else {
        this.counts.skippedBlobs++
        done()
      }
    }
  }

  /** Of a blob that the server said to lack. */
  async #upload({ layer, open, places }: ExportableBlob, place: BlobPlace): Promise<void> {
    this.#signal.throwIfAborted()
    const { connection, repository, others } = place
    const mountFrom = places.includes(connection.name) ? others : []
    const reference = connection.reference(repository)
    const options = { mountFrom, isMissing: true, signal: this.#signal }
    const outcome = await connection.registry.uploadBlob(reference, layer, open, options)
    if (outcome === 'uploaded') {
      this.counts.sentBlobs++
      this.counts.sentBytes += layer.size
    } else this.counts.skippedBlobs++
  }
}
