import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { PlanStep, PutOutcome } from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import type { ObjectStore } from '@tsbuild/object-store'
import type { Scope, SigningKey, TrustedKey } from '@tsbuild/trust'
import { eachLimited } from './each-limited.ts'
import { type HasBlob, RecordFinder } from './find-records.ts'
import { type RecordRules, recordKeeper } from './gc/record-keeper.ts'
import type { Keeper } from './gc/types.ts'
import { type RecordName, recordObject } from './layout.ts'
import { type Put, type PutRequest, putRecord } from './put-record.ts'
import { type IndexEntry, RecordIndex } from './record-index.ts'
import { type RecordChange, RecordLog } from './record-log.ts'
import { defaultRecordLimits, type RecordLimits, RecordRoom } from './record-room.ts'
import { Tally } from './tally.ts'
import { noteEveryMs, UseLog } from './uses.ts'

/** See {@link openRecordService}. */
export interface RecordServiceOptions {
  readonly store: ObjectStore
  /** Unix ms. */
  readonly now: () => number
  /** Whether a repository has a blob: `libs/distribution` says so. */
  readonly hasBlob: HasBlob
  /** Signs every record. Asked for each time, as {@link formerKeys}: keys may change while the service is open. */
  readonly key: SigningKey
  /** Former keys of the server: what they signed still counts. What a key signed that is in neither place counts no more. */
  readonly formerKeys?: readonly TrustedKey[] | undefined
  /** Keys of clients, whose signatures are checked. */
  readonly clientKeys?: readonly TrustedKey[] | undefined
  /** How long a record that another process stored may go unseen. Default 1 s. */
  readonly staleMs?: number | undefined
  /** How long a blob that was there counts as there. Default 30 s. */
  readonly presenceMs?: number | undefined
  /** How many bytes of records are kept in memory. Default 32 MiB. */
  readonly envelopeBytes?: number | undefined
  /** How many records there may be. Default: {@link defaultRecordLimits}. */
  readonly recordLimits?: RecordLimits | undefined
  /** Told of an index that had to be made of the records. */
  readonly onRebuilt?: ((records: number, ms: number) => void) | undefined
}

const defaults = { staleMs: 1000, presenceMs: 30_000, envelopeBytes: 32 * 1024 * 1024 }
const putsAtATime = 16

/**
 * The records of all scopes, over an object store that any number of processes share. Knows no HTTP and no tokens: who may ask for what is
 * the caller's to decide.
 */
export class RecordService {
  readonly tally = new Tally()
  readonly #options: RecordServiceOptions
  readonly #index = new RecordIndex()
  readonly #log: RecordLog
  readonly #finder: RecordFinder
  readonly #uses: UseLog
  readonly #room: RecordRoom

  constructor(options: RecordServiceOptions) {
    const { store, now, hasBlob, onRebuilt } = options
    const { staleMs = defaults.staleMs, presenceMs = defaults.presenceMs } = options
    const { envelopeBytes = defaults.envelopeBytes } = options
    this.#options = options
    this.#room = new RecordRoom(this.#index, options.recordLimits ?? defaultRecordLimits)
    this.#log = new RecordLog({ store, index: this.#index, now, staleMs, onRebuilt })
    this.#uses = new UseLog(store, now, () => randomBytes(4).toString('hex'))
    const onUse = (entry: IndexEntry) => this.#noteUse(entry)
    const finding = { store, index: this.#index, hasBlob, keys: () => this.keys, now }
    this.#finder = new RecordFinder({ ...finding, presenceMs, envelopeBytes, onUse })
  }

  /** The key that signs, and then those whose records count too. */
  get keys(): readonly TrustedKey[] {
    const { key, formerKeys = [] } = this.#options
    return [key, ...formerKeys]
  }

  /** Must be called first. */
  async open(): Promise<void> {
    await this.#log.open()
  }

  /** For each key the record, as it is sent, of the first scope of the chain that has one. */
  async lookUp(chain: readonly Scope[], keys: readonly Digest[]): Promise<readonly (Buffer | undefined)[]> {
    await this.#log.refresh()
    const found = await this.#finder.lookUp(chain, keys, true)
    this.#count('lookups', found)
    return found.map((each) => each?.bytes)
  }

  /** Whether there is a record, for each key. */
  async has(chain: readonly Scope[], keys: readonly Digest[]): Promise<readonly boolean[]> {
    await this.#log.refresh()
    const found = await this.#finder.lookUp(chain, keys, false)
    this.#count('lookups', found)
    return found.map((each) => each !== undefined)
  }

  /** For each step of a plan its record, as it is sent. @param signal ends the work early, and rejects with its reason */
  async plan(
    chain: readonly Scope[],
    steps: readonly PlanStep[],
    signal?: AbortSignal,
  ): Promise<readonly (Buffer | undefined)[]> {
    await this.#log.refresh()
    const found = await this.#finder.plan(chain, steps, async () => {
      await setImmediate()
      signal?.throwIfAborted()
    })
    const wanted = found.filter((_, place) => isLookedFor(steps[place]))
    this.#count('plans', wanted)
    return found.map((each) => each?.bytes)
  }

  /** The places of those of these blobs that a scope's repository lacks. */
  async missing(scope: Scope, digests: readonly Digest[]): Promise<readonly number[]> {
    const lacking = new Set(await this.#finder.missingBlobs(scope, [...new Set(digests)]))
    this.tally.askedBlobs += digests.length
    this.tally.missingBlobs += lacking.size
    return digests.flatMap((digest, place) => (lacking.has(digest) ? [place] : []))
  }

  /** Stores records. What is `stored` is durable, and found by every process within `staleMs`. */
  async put(requests: readonly PutRequest[]): Promise<readonly PutOutcome[]> {
    const { store, key, clientKeys = [] } = this.#options
    const places: (() => void)[] = []
    const takePlace = (name: RecordName) => this.#takePlace(name, places)
    const tools = { store, finder: this.#finder, key, knownKeys: [...this.keys, ...clientKeys], takePlace }
    try {
      const puts = await eachLimited(requests, putsAtATime, (request) => putRecord(request, tools))
      const changes = puts.flatMap((put) => this.#news(put))
      if (changes.length > 0) await this.#log.append(changes)
      for (const { outcome } of puts) this.tally.puts[outcome.outcome]++
      return puts.map(({ outcome }) => outcome)
    } finally {
      for (const give of places) give()
    }
  }

  /**
   * Removes records: from the storage, and from the index of every process. For whoever collects garbage: the blobs of a record may go once
   * this has resolved and {@link RecordServiceOptions.presenceMs} and `staleMs` have passed.
   */
  async remove(names: readonly RecordName[]): Promise<void> {
    await eachLimited(names, putsAtATime, (name) => this.#options.store.delete(recordObject(name)))
    await this.#log.append(names.map((name) => ({ kind: 'removed', name })))
  }

  /** What a collector of garbage is told of records. */
  keeper(rules: Omit<RecordRules, 'now'>): Keeper {
    const { store, now } = this.#options
    return recordKeeper({ store, index: this.#index, log: this.#log }, { ...rules, now })
  }

  /** What is done now and then, each minute or so: the index is written, uses are noted, what nobody needs is removed. */
  async maintain(): Promise<void> {
    await this.#uses.flush()
    await this.#log.compact()
  }

  /** Writes what would be lost. */
  async close(): Promise<void> {
    await this.#uses.flush()
  }

  /** How much there is. */
  size(): { readonly records: number; readonly envelopeBytes: number } {
    return { records: this.#index.size, envelopeBytes: this.#finder.envelopeBytes }
  }

  /** The scopes that have records, with their numbers. */
  scopes(): ReadonlyMap<Scope, number> {
    return this.#index.scopes()
  }

  async #takePlace(name: RecordName, places: (() => void)[]): Promise<string | undefined> {
    let place = this.#room.take(name)
    if (typeof place === 'string') {
      // Another process may have removed some: the collector of garbage runs in one of them.
      await this.#log.refresh()
      place = this.#room.take(name)
    }
    if (typeof place === 'string') return place
    places.push(place)
    return undefined
  }

  /** What others have to be told. A record that was there already, and is known, is no news. */
  #news({ change }: Put): readonly RecordChange[] {
    if (change?.kind !== 'added') return []
    const { scope, key } = change.name
    const isNew = !this.#index.holds(scope, key, change.outputKey, change.blobs)
    return isNew ? [change] : []
  }

  #noteUse(entry: IndexEntry): void {
    const minutes = Math.floor(this.#options.now() / 60_000)
    if (entry.notedAt !== -1 && Math.abs(minutes - entry.notedAt) * 60_000 < noteEveryMs) return
    entry.notedAt = minutes
    this.#uses.note(entry)
  }

  #count(kind: 'lookups' | 'plans', found: readonly unknown[]): void {
    const hits = found.filter((each) => each !== undefined).length
    this.tally[kind]++
    this.tally.hits += hits
    this.tally.misses += found.length - hits
  }
}

/** Opens the service. Any number of processes may open one on the same store. */
export async function openRecordService(options: RecordServiceOptions): Promise<RecordService> {
  const service = new RecordService(options)
  await service.open()
  return service
}

function isLookedFor(step: PlanStep | undefined): boolean {
  return step?.kind === 'step' && step.outputKey === undefined
}
