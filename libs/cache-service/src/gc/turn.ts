import { buffer } from 'node:stream/consumers'
import type { ObjectStore } from '@tsbuild/object-store'
import { count, isRecord, objectOf, oneOf, optional, parseJson, text } from '@tsbuild/shape'

/** How long a turn counts after it was renewed last: a process that died does not stop the others for longer. */
const turnMs = 5 * 60_000

/**
 * Whose turn it is to collect or to scrub, among all processes of a store: an object that says so. Nothing depends on it but that
 * work is not done twice.
 */
export class Turn {
  readonly #store: ObjectStore
  readonly #key: string
  readonly #holder: string
  readonly #now: () => number
  #renewedAt = 0
  #lastBytes: number | undefined

  /** @param holder a name that no other process has */
  constructor(store: ObjectStore, key: string, holder: string, now: () => number) {
    this.#store = store
    this.#key = key
    this.#holder = holder
    this.#now = now
  }

  /** What was found out in the last turn, whoever had it: a number of bytes. Known once {@link take} was called. */
  get lastBytes(): number | undefined {
    return this.#lastBytes
  }

  /** @returns false where it is another process's turn */
  async take(): Promise<boolean> {
    const body = await this.#store.get(this.#key)
    const state = body && readTurn(await buffer(body.stream))
    this.#lastBytes = state?.bytes
    const isFree = state === undefined || state.holder === this.#holder || state.untilMs < this.#now()
    // A clock that was set back must not make a turn last for long.
    const isFuture = state !== undefined && state.untilMs > this.#now() + 2 * turnMs
    if (!isFree && !isFuture) return false
    return await this.#write(body?.info.version ?? null, this.#now() + turnMs)
  }

  /** To be called again and again. @returns false where somebody else has taken it */
  async renew(): Promise<boolean> {
    if (this.#now() - this.#renewedAt < turnMs / 5) return true
    return await this.take()
  }

  /** @param bytes for {@link lastBytes} of those who come next; undefined: as before */
  async give(bytes?: number): Promise<void> {
    this.#lastBytes = bytes ?? this.#lastBytes
    const body = await this.#store.get(this.#key)
    const state = body && readTurn(await buffer(body.stream))
    if (body !== undefined && state?.holder === this.#holder) await this.#write(body.info.version, 0)
  }

  async #write(old: string | null, untilMs: number): Promise<boolean> {
    const value = Buffer.from(JSON.stringify({ v: 1, holder: this.#holder, untilMs, bytes: this.#lastBytes }))
    const written = await this.#store.cas(this.#key, old, value)
    if (written !== undefined) this.#renewedAt = this.#now()
    return written !== undefined
  }
}

interface TurnState {
  readonly holder: string
  readonly untilMs: number
  readonly bytes: number | undefined
}

const turnShape = objectOf({ v: oneOf(1), holder: text, untilMs: count, bytes: optional(count) })

/** What cannot be read is nobody's. */
function readTurn(bytes: Buffer): TurnState | undefined {
  const value = parseJson(bytes.toString('utf8'))
  if (!isRecord(value) || !turnShape(value)) return undefined
  const { holder, untilMs } = value
  return {
    holder: String(holder),
    untilMs: Number(untilMs),
    bytes: value.bytes === undefined ? undefined : Number(value.bytes),
  }
}
