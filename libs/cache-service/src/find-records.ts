import {
  evaluatePlanSliced,
  maxRecordBytes,
  maxReplyBytes,
  type PlanStep,
  stepPayloadType,
} from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import type { ObjectStore } from '@tsbuild/object-store'
import { repositoryOfScope, type Scope, type TrustedKey, verifyEnvelope } from '@tsbuild/trust'
import { eachLimited } from './each-limited.ts'
import { EnvelopeCache } from './envelope-cache.ts'
import { type RecordName, readStoredRecord, recordObject, type StoredRecord } from './layout.ts'
import { readObject } from './read-object.ts'
import { entryBlobs, type IndexEntry, keyOf, outputKeyOf, type RecordIndex } from './record-index.ts'

/** Whether a repository has a blob, as whoever may read the repository would see it. */
export type HasBlob = (repository: string, digest: Digest) => Promise<boolean>

/** What records are found with. */
export interface FinderOptions {
  readonly store: ObjectStore
  readonly index: RecordIndex
  readonly hasBlob: HasBlob
  /** Keys of the server, as they are now: what none of them signed was not stored by it. */
  readonly keys: () => readonly TrustedKey[]
  /** Unix ms. */
  readonly now: () => number
  /** How long a blob that was there counts as there. */
  readonly presenceMs: number
  /** How many bytes of records are kept in memory. */
  readonly envelopeBytes: number
  /** Told of each record that is given away. */
  readonly onUse: (entry: IndexEntry) => void
}

/** A record that was found. */
export interface FoundEntry {
  readonly entry: IndexEntry
  /** As it is stored and sent; undefined where nobody asked for it. */
  readonly bytes: Buffer | undefined
}

/** How many objects are asked for at a time by one request: more only fill the queue of Node's four threads. */
const atATime = 16
/** What an answer has beside each record: a comma, or the word for none. */
const replyFrame = 8

/**
 * Finds records that can be used: read back and verified, with all of their blobs where they belong. A record that fails in this is passed
 * over, as if it were not there, and whoever stores the key next replaces it.
 */
export class RecordFinder {
  readonly #options: FinderOptions
  readonly #envelopes: EnvelopeCache
  /** The keys that the records in memory were verified by. */
  #verifiedBy: string
  /** Seconds since then are what entries note. */
  readonly #epochMs: number

  constructor(options: FinderOptions) {
    this.#options = options
    this.#envelopes = new EnvelopeCache(options.envelopeBytes)
    this.#verifiedBy = namesOf(options.keys())
    this.#epochMs = options.now()
  }

  /** Bytes of records in memory. */
  get envelopeBytes(): number {
    return this.#envelopes.bytes
  }

  /** For each key the record of the first scope of the chain that has one. */
  async lookUp(
    chain: readonly Scope[],
    keys: readonly Digest[],
    withBytes: boolean,
  ): Promise<readonly (FoundEntry | undefined)[]> {
    return await this.#find(async (passed) => keys.map((key) => this.#first(chain, key, passed)), withBytes)
  }

  /**
   * For each step of a plan its record, where it was looked for and found.
   * @param pause awaited between two slices of the work: others are served meanwhile
   */
  async plan(
    chain: readonly Scope[],
    steps: readonly PlanStep[],
    pause: () => Promise<void>,
  ): Promise<readonly (FoundEntry | undefined)[]> {
    return await this.#find(async (passed) => {
      const found: (IndexEntry | undefined)[] = Array.from(steps, () => undefined)
      const find = (key: Digest, place: number) => {
        const entry = this.#first(chain, key, passed)
        found[place] = entry
        return entry && outputKeyOf(entry)
      }
      await evaluatePlanSliced(steps, find, pause)
      return found
    }, true)
  }

  /** What is stored under a name, if it can be used. */
  async read(name: RecordName): Promise<StoredRecord | undefined> {
    const stored = await this.#readVerified(name)
    if (stored === undefined) return undefined
    return (await this.missingBlobs(name.scope, stored.blobs)).length === 0 ? stored : undefined
  }

  /** Those of these blobs that a scope's repository lacks. */
  async missingBlobs(scope: Scope, digests: readonly Digest[]): Promise<readonly Digest[]> {
    const repository = repositoryOfScope(scope)
    const { hasBlob } = this.#options
    const there = await eachLimited(digests, atATime, (digest) => hasBlob(repository, digest))
    return digests.filter((_, place) => there[place] !== true)
  }

  #first(chain: readonly Scope[], key: Digest, passed: ReadonlySet<IndexEntry>): IndexEntry | undefined {
    for (const scope of chain) {
      const entry = this.#options.index.get(scope, key)
      if (entry !== undefined && !passed.has(entry)) return entry
    }
    return undefined
  }

  /** Goes on until everything that was picked can be used: each round passes over at least one record more. */
  async #find(
    pick: (passed: ReadonlySet<IndexEntry>) => Promise<readonly (IndexEntry | undefined)[]>,
    withBytes: boolean,
  ): Promise<readonly (FoundEntry | undefined)[]> {
    this.#forgetOthers()
    const passed = new Set<IndexEntry>()
    const bytes = new Map<IndexEntry, Buffer>()
    // Of what is not in memory already no more is read than an answer may have.
    let room = maxReplyBytes
    for (;;) {
      const picked = await pick(passed)
      const entries = new Set(picked.filter((entry) => entry !== undefined))
      const slow = [...entries].filter((entry) => {
        const known = bytes.get(entry) ?? this.#envelopes.get(entry)
        if (known !== undefined) bytes.set(entry, known)
        return !this.#isChecked(entry) || (withBytes && known === undefined)
      })
      const before = passed.size
      await eachLimited(slow, atATime, async (entry) => {
        const isThere = await this.#check(entry)
        const known = bytes.get(entry)
        const read = known ?? (isThere && withBytes && room > 0 ? await this.#load(entry) : undefined)
        if (known === undefined) room -= read?.length ?? 0
        if (!isThere || (withBytes && read === undefined)) passed.add(entry)
        else if (read !== undefined) bytes.set(entry, read)
      })
      if (passed.size > before) continue
      return this.#within(picked, withBytes ? bytes : undefined)
    }
  }

  /** As much as an answer may have: who asks for more, or for the same again and again, finds the rest missing. */
  #within(
    picked: readonly (IndexEntry | undefined)[],
    bytes: ReadonlyMap<IndexEntry, Buffer> | undefined,
  ): readonly (FoundEntry | undefined)[] {
    let room = maxReplyBytes - replyFrame * picked.length
    return picked.map((entry) => {
      const own = entry && bytes?.get(entry)
      room -= own?.length ?? 0
      if (entry === undefined || room < 0) return undefined
      this.#options.onUse(entry)
      return { entry, bytes: own }
    })
  }

  /** What was verified by a key that may have been removed since is read again. */
  #forgetOthers(): void {
    const names = namesOf(this.#options.keys())
    if (names === this.#verifiedBy) return
    this.#verifiedBy = names
    this.#envelopes.clear()
  }

  #seconds(): number {
    return Math.floor((this.#options.now() - this.#epochMs) / 1000)
  }

  #isChecked({ checkedAt }: IndexEntry): boolean {
    const age = this.#seconds() - checkedAt
    // A clock that was set back must not make anything count for long.
    return checkedAt >= 0 && age >= 0 && age * 1000 < this.#options.presenceMs
  }

  async #check(entry: IndexEntry): Promise<boolean> {
    if (this.#isChecked(entry)) return true
    const at = this.#seconds()
    if ((await this.missingBlobs(entry.scope, entryBlobs(entry))).length > 0) return false
    entry.checkedAt = at
    return true
  }

  async #load(entry: IndexEntry): Promise<Buffer | undefined> {
    const known = this.#envelopes.get(entry)
    if (known !== undefined) return known
    const { index } = this.#options
    const name = { scope: entry.scope, key: keyOf(entry) }
    const stored = await this.#readVerified(name)
    const isCurrent = index.get(name.scope, name.key) === entry
    if (stored === undefined) {
      if (isCurrent) index.delete(name.scope, name.key)
      return undefined
    }
    // Somebody replaced it: the next round finds the entry that is right.
    const { outputKey } = stored.payload.result
    if (index.set(name, outputKey, stored.blobs) !== entry) return undefined
    this.#envelopes.set(entry, stored.bytes)
    return stored.bytes
  }

  async #readVerified(name: RecordName): Promise<(StoredRecord & { readonly bytes: Buffer }) | undefined> {
    const { store, keys } = this.#options
    const object = recordObject(name)
    const bytes = await readObject(store, object, maxRecordBytes)
    const stored = bytes && readStoredRecord(object, bytes)
    if (bytes === undefined || stored === undefined) return undefined
    return verifyEnvelope(stored.record.envelope, keys(), stepPayloadType) && { ...stored, bytes }
  }
}

const namesOf = (keys: readonly TrustedKey[]): string => keys.map(({ id }) => id).join()
