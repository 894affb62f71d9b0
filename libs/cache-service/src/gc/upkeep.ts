import type { OpenObjectStore } from '@tsbuild/object-store'
import { type Damage, Scrubber, type ScrubCounts, type ScrubTarget } from '../scrub/scrubber.ts'
import { Collector } from './collector.ts'
import { boundedStore, Room } from './room.ts'
import { type CollectReport, type Keeper, spaceLimits } from './types.ts'

/** What {@link Upkeep} works with. */
export interface UpkeepOptions {
  readonly store: OpenObjectStore
  /** How often it is looked for what may go. */
  readonly intervalMs: number
  readonly graceMs: number
  /** See `CollectorOptions`. */
  readonly promiseMs: number
  /** See `CollectorOptions`. */
  readonly bootedMs?: number | undefined
  /** How much may be stored while so many bytes are; undefined: any number. */
  readonly maxBytes: (bytes: number) => number | undefined
  /** How much is read again each day, while so many bytes are stored. */
  readonly scrubPerDay: (bytes: number) => number
  /** Unix ms. */
  readonly now: () => number
  /** Of this process: a name that no other one has. */
  readonly id: string
  readonly onCollected?: ((report: CollectReport, ms: number) => void) | undefined
  readonly onDamage?: ((damage: Damage) => void) | undefined
  /** A run that failed; it is tried again. */
  readonly onFailure?: ((what: 'collect' | 'scrub', error: unknown) => void) | undefined
}

/** What is kept and read again; known only once the store is open. */
export interface UpkeepWork {
  readonly keepers: readonly Keeper[]
  readonly targets: readonly ScrubTarget[]
}

/** A run of the collector that had its turn. In ms. */
export interface UpkeepRun {
  /** Unix. */
  readonly endedMs: number
  readonly tookMs: number
}

/** How many runs of the collector were done, left to another process that was at it, and failed; and runs of the scrubber that failed. */
export interface UpkeepRuns {
  readonly collected: number
  readonly elsewhere: number
  readonly failed: number
  readonly scrubFailed: number
}

/** However full it is: a run right after one that found nothing finds nothing. */
const leastPauseMs = 10_000
/** The first run, which finds out how much there is. */
const firstPauseMs = 1000

/** Collects and scrubs, again and again, beside everything else; sooner where room is short. */
export class Upkeep {
  /** The store for everybody else: it takes nothing that there is no room for. */
  readonly store: OpenObjectStore
  readonly room: Room
  readonly #options: UpkeepOptions
  readonly #ending = new AbortController()
  #work: { readonly collector: Collector; readonly scrubber: Scrubber } | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #ranAt = Number.NEGATIVE_INFINITY
  #last: CollectReport | undefined
  #lastRun: UpkeepRun | undefined
  readonly #totals = { evicted: 0, expired: 0, swept: 0, sweptBytes: 0 }
  readonly #runs = { collected: 0, elsewhere: 0, failed: 0, scrubFailed: 0 }

  constructor(options: UpkeepOptions) {
    this.#options = options
    this.room = new Room(() => this.#soon())
    this.store = boundedStore(options.store, this.room)
  }

  /** What the last run found; undefined before the first. */
  get last(): CollectReport | undefined {
    return this.#last
  }

  /** What went since this process started. */
  get totals(): Readonly<Pick<CollectReport, 'evicted' | 'expired' | 'swept' | 'sweptBytes'>> {
    return { ...this.#totals }
  }

  /** When this process collected last; undefined before the first time. */
  get lastRun(): UpkeepRun | undefined {
    return this.#lastRun
  }

  /** What runs of this process came to. */
  get runs(): UpkeepRuns {
    return { ...this.#runs }
  }

  get scrubbed(): ScrubCounts {
    return this.#work?.scrubber.counts ?? { objects: 0, bytes: 0, damaged: 0, rounds: 0 }
  }

  /** Begins. */
  start({ keepers, targets }: UpkeepWork): void {
    const { store, graceMs, promiseMs, bootedMs, now, id, onDamage } = this.#options
    const space = (bytes: number) => {
      const most = this.#options.maxBytes(bytes)
      return most === undefined ? undefined : spaceLimits(most)
    }
    this.#work = {
      collector: new Collector({ store, keepers, graceMs, promiseMs, bootedMs, space, now, id }),
      scrubber: new Scrubber({ store, targets, now, id, onDamage }),
    }
    this.#plan(firstPauseMs)
  }

  /** One round now, or the one that is under way. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#round().finally(() => {
      this.#running = undefined
      this.#ranAt = this.#options.now()
      this.#plan(this.#options.intervalMs)
    })
    return this.#running
  }

  /** Ends the round under way; what it did is done. */
  async close(): Promise<void> {
    this.#ending.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  #soon(): void {
    if (this.#work === undefined || this.#running !== undefined) return
    const sinceMs = this.#options.now() - this.#ranAt
    this.#plan(Math.max(0, Math.min(leastPauseMs, leastPauseMs - sinceMs)))
  }

  #plan(pauseMs: number): void {
    clearTimeout(this.#timer)
    if (this.#ending.signal.aborted) return
    this.#timer = setTimeout(() => void this.run(), pauseMs).unref()
  }

  async #round(): Promise<void> {
    const work = this.#work
    if (work === undefined) return
    await this.#attempt('collect', () => this.#collect(work.collector))
    const perDay = this.#options.scrubPerDay(this.room.bytes)
    await this.#attempt('scrub', () => work.scrubber.run(perDay, this.#ending.signal))
  }

  async #collect(collector: Collector): Promise<void> {
    const { maxBytes, onCollected, now } = this.#options
    const begunMs = now()
    const report = await collector.run(this.#ending.signal)
    const { leftBytes } = report
    if (leftBytes !== undefined) {
      const most = maxBytes(leftBytes)
      this.room.measured(leftBytes, most === undefined ? undefined : spaceLimits(most))
    }
    if (!report.hadTurn) {
      this.#runs.elsewhere += 1
      return
    }
    this.#last = report
    this.#runs.collected += 1
    this.#lastRun = { endedMs: now(), tookMs: now() - begunMs }
    for (const count of ['evicted', 'expired', 'swept', 'sweptBytes'] as const)
      this.#totals[count] += report[count]
    onCollected?.(report, now() - begunMs)
  }

  async #attempt(what: 'collect' | 'scrub', body: () => Promise<void>): Promise<void> {
    try {
      await body()
    } catch (error) {
      if (this.#ending.signal.aborted) return
      this.#runs[what === 'collect' ? 'failed' : 'scrubFailed'] += 1
      this.#options.onFailure?.(what, error)
    }
  }
}
