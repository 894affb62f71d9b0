import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { isBuildError } from '@tsbuild/errors'
import type { ObjectInfo, ObjectKey, ObjectStore } from '@tsbuild/object-store'
import { count, isRecord, objectOf, oneOf, optional, parseJson, text } from '@tsbuild/shape'
import { Turn } from '../gc/turn.ts'

/** Objects that are named by what their bytes hash to. */
export interface ScrubTarget {
  readonly prefix: string
  /** Undefined for a key that names no digest. */
  readonly digestOf: (
    key: ObjectKey,
  ) => { readonly algorithm: 'sha256' | 'sha512'; readonly hex: string } | undefined
}

/** An object whose bytes are not those of its name. */
export interface Damage {
  readonly key: ObjectKey
  readonly size: number
  /** What its bytes hash to; undefined where they cannot be read. */
  readonly actual: string | undefined
  /** Where they are now; undefined where they were not kept. */
  readonly quarantined: ObjectKey | undefined
}

/** What a {@link Scrubber} works with. */
export interface ScrubberOptions {
  readonly store: ObjectStore
  readonly targets: readonly ScrubTarget[]
  /** Unix ms. */
  readonly now: () => number
  /** Of this process: a name that no other one has. */
  readonly id: string
  /** Told of each damaged object, once. */
  readonly onDamage?: ((damage: Damage) => void) | undefined
}

/** What was scrubbed since this process started. */
export interface ScrubCounts {
  readonly objects: number
  readonly bytes: number
  readonly damaged: number
  /** Times that the end of all objects was reached. */
  readonly rounds: number
}

const stateKey = 'scrub/v1/state'
const turnKey = 'scrub/v1/turn'
const quarantinePrefix = 'quarantine/v1/'
/** Damaged bytes are kept for whoever wants to know what happened to them, so long and not more. */
const quarantineMs = 30 * 24 * 3_600_000
const mostQuarantined = 64 * 1024 * 1024
/** What was not used of what may be read is not saved up for longer. */
const mostSavedMs = 24 * 3_600_000

/** Where the round is. */
interface State {
  readonly target: number
  readonly after?: ObjectKey | undefined
  /** When something was read last, unix ms. */
  readonly atMs: number
  /** Bytes that were read before they were due. */
  readonly debt: number
}

/**
 * Reads everything again, so many bytes a day, and takes away what is damaged: then it is missing, which everybody knows how to deal with. A
 * layer that is missing is a miss of the records that have it, and is there again when somebody uploads it.
 */
export class Scrubber {
  readonly #options: ScrubberOptions
  readonly #counts = { objects: 0, bytes: 0, damaged: 0, rounds: 0 }

  constructor(options: ScrubberOptions) {
    this.#options = options
  }

  get counts(): ScrubCounts {
    return { ...this.#counts }
  }

  /**
   * Reads what is due, if it is this process's turn. To be called every few minutes.
   *
   * @param bytesPerDay of all processes together
   */
  async run(bytesPerDay: number, signal: AbortSignal): Promise<void> {
    const { store, now, id } = this.#options
    const turn = new Turn(store, turnKey, id, now)
    if (!(await turn.take())) return
    try {
      const state = await this.#readState()
      const elapsedMs = Math.min(Math.max(0, now() - state.atMs), mostSavedMs)
      const due = (bytesPerDay * elapsedMs) / (24 * 3_600_000) - state.debt
      if (due <= 0) return
      await this.#forgetOld(signal)
      await this.#read(state, due, turn, signal)
    } finally {
      await turn.give()
    }
  }

  /** Goes on where the last run ended, to the end of a round at most. */
  async #read(state: State, due: number, turn: Turn, signal: AbortSignal): Promise<void> {
    const { store, targets } = this.#options
    let left = due
    let { target, after } = state
    for (; target < targets.length; target += 1, after = undefined) {
      const { prefix, digestOf } = targets[target] as ScrubTarget
      for await (const info of store.list(prefix, { after, signal })) {
        after = info.key
        const digest = digestOf(info.key)
        if (digest === undefined) continue
        await this.#check(info, digest, signal)
        left -= info.size
        await turn.renew()
        if (left <= 0) return this.#writeState({ target, after, debt: -left })
      }
    }
    this.#counts.rounds += 1
    await this.#writeState({ target: 0, debt: 0 })
  }

  async #check(
    info: ObjectInfo,
    { algorithm, hex }: { readonly algorithm: string; readonly hex: string },
    signal: AbortSignal,
  ): Promise<void> {
    this.#counts.objects += 1
    this.#counts.bytes += info.size
    // What a wire or a memory got wrong once is not damage.
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      const found = await this.#hash(info.key, algorithm, signal)
      if (found === undefined || found.hex === hex) return
      if (attempt === 2) await this.#takeAway(info, found.hex, signal)
    }
  }

  /** @returns undefined for what is gone; no `hex` for what cannot be read */
  async #hash(
    key: ObjectKey,
    algorithm: string,
    signal: AbortSignal,
  ): Promise<{ readonly hex: string | undefined } | undefined> {
    const body = await this.#unlessDamaged(() => this.#options.store.get(key, { signal }))
    if (body === 'damaged') return { hex: undefined }
    if (body === undefined) return undefined
    const hash = createHash(algorithm)
    const outcome = await this.#unlessDamaged(async () => {
      for await (const chunk of body.stream) hash.update(chunk)
    })
    return { hex: outcome === 'damaged' ? undefined : hash.digest('hex') }
  }

  /** A disk that fails at one file, and not one that cannot be reached at all. */
  async #unlessDamaged<T>(body: () => Promise<T>): Promise<T | 'damaged'> {
    try {
      return await body()
    } catch (error) {
      if (isBuildError(error) && (error.code === 'ERR_STORE_IO' || error.code === 'ERR_STORE_CORRUPT'))
        return 'damaged'
      throw error
    }
  }

  async #takeAway(info: ObjectInfo, actual: string | undefined, signal: AbortSignal): Promise<void> {
    const { store, onDamage } = this.#options
    const quarantined = actual === undefined ? undefined : await this.#quarantine(info, signal)
    // Not where somebody put it anew in the meantime.
    if (!(await store.delete(info.key, { version: info.version }, { signal }))) return
    this.#counts.damaged += 1
    onDamage?.({ key: info.key, size: info.size, actual, quarantined })
  }

  /** The bytes are only for people: where they cannot be kept it is done without. */
  async #quarantine(info: ObjectInfo, signal: AbortSignal): Promise<ObjectKey | undefined> {
    const { store, now } = this.#options
    if (info.size > mostQuarantined) return undefined
    try {
      const body = await store.get(info.key, { signal })
      if (body === undefined) return undefined
      const bytes = await buffer(body.stream)
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const key = `${quarantinePrefix}${String(now()).padStart(13, '0')}-${info.key.split('/').at(-1)}`
      await store.putIfAbsent(key, bytes, { sha256, size: bytes.length }, { signal })
      return key
    } catch (error) {
      if (signal.aborted) throw error
      return undefined
    }
  }

  async #forgetOld(signal: AbortSignal): Promise<void> {
    const { store, now } = this.#options
    for await (const { key, modifiedMs, version } of store.list(quarantinePrefix, { signal }))
      if (modifiedMs < now() - quarantineMs) await store.delete(key, { version }, { signal })
  }

  async #readState(): Promise<State> {
    const { store, now } = this.#options
    const body = await store.get(stateKey)
    const value = body && parseJson((await buffer(body.stream)).toString('utf8'))
    const begin = { target: 0, atMs: now() - mostSavedMs / 24, debt: 0 }
    if (!isRecord(value) || !stateShape(value)) return begin
    const { target, after, atMs, debt } = value
    return {
      target: Number(target),
      after: typeof after === 'string' ? after : undefined,
      atMs: Number(atMs),
      debt: Number(debt),
    }
  }

  /** Whoever comes second in this has done the same work: it does not matter whose place is kept. */
  async #writeState(state: Omit<State, 'atMs'>): Promise<void> {
    const { store, now } = this.#options
    const value = { v: 1, ...state, debt: Math.round(state.debt), atMs: now() }
    const old = (await store.head(stateKey))?.version ?? null
    await store.cas(stateKey, old, Buffer.from(JSON.stringify(value)))
  }
}

const stateShape = objectOf({ v: oneOf(1), target: count, after: optional(text), atMs: count, debt: count })
