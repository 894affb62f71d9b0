import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** What a registry does with the bytes of uploads. */
export interface UploadRules {
  /**
   * What stays of a request that was cut in the middle: the `bytes` that came, the `requests` before it, or `nothing`
   * because the upload is thrown away, as docker-registry 2.8 does. Default `bytes`.
   */
  readonly keeps?: 'bytes' | 'requests' | 'nothing' | undefined
  /** Bodies above it get a 413. */
  readonly maxBodyBytes?: number | undefined
  /** Bodies above it that have a `Content-Range` get a 416, as GHCR does above 4 MiB. */
  readonly maxPieceBytes?: number | undefined
  /** Announced, and smaller ones that are not the last get a 416. */
  readonly minPieceBytes?: number | undefined
  /** What bodies with a `Content-Range` get, where none are taken. */
  readonly pieces?: number | undefined
  /** The `Range` of answers stays where the first request ended, as ECR's does. */
  readonly staleRange?: boolean | undefined
}

/** What became of a request with bytes: what to answer. */
export type Received =
  | { readonly type: 'taken'; readonly length: number }
  | { readonly type: 'refused'; readonly status: number; readonly code: string }

interface Session {
  chunks: Buffer[]
  length: number
  /** Of the first request and of the last one, in bytes. */
  firstLength: number | undefined
  lastLength: number | undefined
}

/** The uploads under way of a registry. */
export class FakeUploads {
  readonly #sessions = new Map<string, Session>()
  readonly #rules: UploadRules

  constructor(rules: UploadRules) {
    this.#rules = rules
  }

  begin(): string {
    const id = randomUUID()
    this.#sessions.set(id, { chunks: [], length: 0, firstLength: undefined, lastLength: undefined })
    return id
  }

  has(id: string): boolean {
    return this.#sessions.has(id)
  }

  /** Headers of the answer to whoever begins one. */
  get beginHeaders(): Record<string, string> {
    const { minPieceBytes } = this.#rules
    return minPieceBytes === undefined ? {} : { 'oci-chunk-min-length': String(minPieceBytes) }
  }

  /** `0-99` for 100 bytes, and `0-0` for none. */
  range(id: string): string {
    const session = this.#sessions.get(id)
    const shown = this.#rules.staleRange === true ? session?.firstLength : session?.length
    return `0-${Math.max(0, (shown ?? 0) - 1)}`
  }

  /** Adds a request's body. Rejects where the line was cut, with what stays kept. */
  async receive(id: string, request: IncomingMessage): Promise<Received> {
    const session = this.#sessions.get(id)
    if (session === undefined) return { type: 'refused', status: 404, code: 'BLOB_UPLOAD_UNKNOWN' }
    const refused = this.#refusal(session, request)
    if (refused !== undefined) return refused
    const kept = { chunks: session.chunks.length, length: session.length }
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        session.chunks.push(chunk)
        session.length += chunk.length
      }
    } catch (error) {
      this.#cut(id, session, kept)
      throw error
    }
    session.firstLength ??= session.length
    session.lastLength = session.length - kept.length
    return { type: 'taken', length: session.length }
  }

  /** Ends an upload; its bytes. */
  finish(id: string): Buffer {
    const session = this.#sessions.get(id)
    this.#sessions.delete(id)
    return Buffer.concat(session?.chunks ?? [])
  }

  #cut(id: string, session: Session, kept: { readonly chunks: number; readonly length: number }): void {
    const { keeps = 'bytes' } = this.#rules
    if (keeps === 'nothing') this.#sessions.delete(id)
    if (keeps !== 'requests') return
    session.chunks.length = kept.chunks
    session.length = kept.length
  }

  #refusal(session: Session, request: IncomingMessage): Received | undefined {
    const { maxBodyBytes, maxPieceBytes, minPieceBytes, pieces } = this.#rules
    const length = Number(request.headers['content-length'] ?? 0)
    const range = /^(\d+)-(\d+)$/.exec(request.headers['content-range'] ?? '')
    const refuse = (status: number, code = 'BLOB_UPLOAD_INVALID'): Received => ({
      type: 'refused',
      status,
      code,
    })
    if (maxBodyBytes !== undefined && length > maxBodyBytes) return refuse(413, 'SIZE_INVALID')
    if (range === null) return undefined
    if (pieces !== undefined) return refuse(pieces)
    if (Number(range[1]) !== session.length || Number(range[2]) !== session.length + length - 1)
      return refuse(416)
    if (maxPieceBytes !== undefined && length > maxPieceBytes) return refuse(416)
    // Only the last may be smaller; that it was not shows when another one comes.
    if ((session.lastLength ?? Number.POSITIVE_INFINITY) < (minPieceBytes ?? 0)) return refuse(416)
    return undefined
  }
}
