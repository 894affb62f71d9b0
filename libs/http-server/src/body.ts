import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { HttpError } from './failure.ts'
import type { ServerLimits } from './types.ts'

/** How the body of one request is read. */
export interface BodyRules {
  readonly maxBytes: number
  readonly limits: Pick<ServerLimits, 'idleMs' | 'bodyPace'>
  /** Unix ms. */
  readonly now: () => number
  /** Called with the size of each part. */
  readonly count: (bytes: number) => void
}

/** Parts, of at most 64 KiB each, that lie ready while the client is let send. */
const mostReady = 8

/**
 * The body of a request under limits. A stream of its own: Node's ends the connection when it is destroyed, and then no answer
 * could say why.
 */
export class LimitedBody extends Readable {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #rules: BodyRules
  #received = 0
  /** How long the client let us wait, without what is under way now. */
  #waitedMs = 0
  /** Since when we wait; undefined while we do not. */
  #waitingSince: number | undefined
  #timer: NodeJS.Timeout | undefined
  #begun = false

  constructor(request: IncomingMessage, response: ServerResponse, rules: BodyRules) {
    // Part by part: a stream of bytes copies what lies ready into one piece whenever it is read.
    super({ objectMode: true, highWaterMark: mostReady })
    this.#request = request
    this.#response = response
    this.#rules = rules
  }

  override _read(): void {
    if (!this.#begun) this.#begin()
    if (this.#waitingSince !== undefined) return
    this.#waitingSince = this.#rules.now()
    this.#request.resume()
  }

  #begin(): void {
    this.#begun = true
    const length = Number(this.#request.headers['content-length'] ?? '0')
    if (length > this.#rules.maxBytes) return void this.destroy(tooLarge(this.#rules.maxBytes))
    if (this.#request.headers.expect !== undefined) this.#response.writeContinue()
    this.#request
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('close', this.#onClose)
      .on('error', this.#onError)
    const { idleMs } = this.#rules.limits
    this.#timer = setInterval(this.#check, Math.max(10, Math.min(1000, idleMs / 4)))
    if (this.#request.complete && this.#request.readableEnded) this.#onEnd()
  }

  readonly #onData = (part: Buffer): void => {
    const { count, maxBytes, now } = this.#rules
    count(part.length)
    this.#received += part.length
    if (this.#waitingSince !== undefined) this.#waitedMs += now() - this.#waitingSince
    this.#waitingSince = now()
    if (this.#received > maxBytes) return void this.destroy(tooLarge(maxBytes))
    if (!this.push(part)) {
      this.#request.pause()
      this.#waitingSince = undefined
    }
  }

  readonly #onEnd = (): void => {
    this.#release()
    this.push(null)
  }

  readonly #onClose = (): void => {
    if (!this.#request.complete) this.#onError()
  }

  readonly #onError = (cause?: unknown): void => {
    this.destroy(new HttpError(400, 'SIZE_INVALID', 'the connection ended before the body did', { cause }))
  }

  readonly #check = (): void => {
    if (this.#waitingSince === undefined) return
    const { idleMs, bodyPace } = this.#rules.limits
    const waiting = this.#rules.now() - this.#waitingSince
    const allowed = idleMs + (this.#received / bodyPace) * 1000
    if (waiting > idleMs || this.#waitedMs + waiting > allowed) {
      this.destroy(new HttpError(408, 'SIZE_INVALID', 'the body came too slowly'))
    }
  }

  #release(): void {
    clearInterval(this.#timer)
    this.#waitingSince = undefined
    this.#request
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('close', this.#onClose)
      .off('error', this.#onError)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#release()
    if (this.#begun && !this.#request.complete) this.#request.pause()
    done(error)
  }
}

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(413, 'SIZE_INVALID', `the body is longer than ${maxBytes} bytes`)
}

/**
 * All of a body in memory.
 * @throws {HttpError} as {@link LimitedBody} fails
 */
export async function readWhole(body: Readable): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of body) parts.push(part)
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
}
