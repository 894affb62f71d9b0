import { type Digest, isDigest } from '@tsbuild/digest'
import type { ObjectStore } from '@tsbuild/object-store'
import { isRecord, listOf, objectOf, oneOf, optional, parseJson, type Shape, text } from '@tsbuild/shape'
import { isScope, type Scope } from '@tsbuild/trust'
import { eachLimited } from './each-limited.ts'
import {
  indexPrefix,
  logPrefix,
  numbered,
  numberOf,
  type RecordName,
  readStoredRecord,
  recordPrefix,
} from './layout.ts'
import { putBytes, readObject } from './read-object.ts'
import type { RecordIndex } from './record-index.ts'

/** What happened to records. */
export type RecordChange =
  | {
      readonly kind: 'added'
      readonly name: RecordName
      readonly outputKey: Digest
      readonly blobs: readonly Digest[]
    }
  | { readonly kind: 'removed'; readonly name: RecordName }

/** See {@link RecordLog}. */
export interface RecordLogOptions {
  readonly store: ObjectStore
  readonly index: RecordIndex
  /** Unix ms. */
  readonly now: () => number
  /** How long the index may be behind what other processes did. */
  readonly staleMs: number
  /** Called when an index is written anew, or could not be read. */
  readonly onRebuilt?: ((records: number, ms: number) => void) | undefined
}

/** After so many entries the index is written whole, and a process that starts reads no more than these. */
const entriesPerIndex = 512
/** Entries and indexes stay so long after they are superseded, for processes that are behind. */
const keptMs = 3_600_000
/** A process that was away for longer begins with the newest index. */
const awayMs = keptMs / 2
const maxEntryBytes = 64 * 1024 * 1024
/** Less than {@link maxEntryBytes}, whatever they are: nobody reads a larger entry, nor what comes after it. */
const changesPerEntry = 16_000
const maxIndexBytes = 2 ** 31 - 1

/**
 * Keeps the {@link RecordIndex} of several processes the same. Whoever changed records appends an entry to a log that all of them share: the
 * object of the next number, which exactly one of them can put. Who finds the number taken reads what is there, which it did not know, and
 * goes on to the next. Whether something is new costs one `get` of a number that is not there. No clock decides an order.
 *
 * An entry is written before a change is acknowledged, so that what was acknowledged is found by everybody. A process that dies
 * between a record and its entry leaves a record that nobody finds, until somebody stores it again.
 */
export class RecordLog {
  readonly #options: RecordLogOptions
  /** The number of the next entry. */
  #next = 0
  /** Up to which entry the newest index goes. */
  #indexed = 0
  #refreshedAt = Number.NEGATIVE_INFINITY
  /** What is done with the log is done one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #refreshing: Promise<void> | undefined
  #waiting: {
    readonly change: RecordChange
    readonly done: () => void
    readonly fail: (why: unknown) => void
  }[] = []

  constructor(options: RecordLogOptions) {
    this.#options = options
  }

  /** Reads the index and what came after it. Where no index can be read, it is made of the records. */
  async open(): Promise<void> {
    await this.#inTurn(() => this.#load())
  }

  /** Learns what other processes did, unless that was asked less than `staleMs` ago. */
  async refresh(): Promise<void> {
    if (this.#options.now() - this.#refreshedAt < this.#options.staleMs) return
    this.#refreshing ??= this.#inTurn(() => this.#catchUp()).finally(() => {
      this.#refreshing = undefined
    })
    await this.#refreshing
  }

  /** Makes changes known, here and to everybody. Changes of one moment are one entry. */
  async append(changes: readonly RecordChange[]): Promise<void> {
    const told = changes.map(
      (change) =>
        new Promise<void>((done, fail) => {
          this.#waiting.push({ change, done, fail })
        }),
    )
    const written = this.#inTurn(() => this.#write())
    await Promise.all([...told, written])
  }

  /** Writes the index whole where there is enough that is new, and removes what nobody needs. For now and then. */
  async compact(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#catchUp()
      if (this.#next - this.#indexed >= entriesPerIndex) await this.#writeIndex()
      await this.#prune()
    })
  }

  async #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(body)
    this.#turn = mine.catch(() => {})
    return await mine
  }

  async #load(): Promise<void> {
    const { index, store } = this.#options
    for (const number of (await this.#numbers(indexPrefix)).toReversed()) {
      const object = numbered(indexPrefix, number)
      const bytes = await readObject(store, object, maxIndexBytes)
      index.clear()
      this.#next = Math.max(this.#next, number)
      if (bytes === undefined || !index.load(bytes)) {
        // Damaged, or of a later version: it must not stand where a good one belongs.
        await store.delete(object)
        continue
      }
      this.#next = number
      this.#indexed = number
      return await this.#catchUp()
    }
    // Nothing was removed of the log yet: from 0 on it says everything.
    const entries = await this.#numbers(logPrefix)
    if (entries.length > 0 && entries.at(-1) === entries.length - 1) {
      this.#next = 0
      return await this.#catchUp()
    }
    await this.#rebuild()
  }

  /** Without an index: entries that come while records are listed are read again, and say the same. */
  async #rebuild(): Promise<void> {
    const { index, store, now, onRebuilt } = this.#options
    const begun = now()
    const numbers = await this.#numbers(logPrefix)
    index.clear()
    this.#next = Math.max(this.#next, (numbers.at(-1) ?? -1) + 1)
    this.#indexed = 0
    const batch: string[] = []
    const read = async () => {
      await eachLimited(batch.splice(0), 32, async (object) => {
        const stored = readStoredRecord(
          object,
          (await readObject(store, object, maxEntryBytes)) ?? Buffer.alloc(0),
        )
        if (stored === undefined) return
        const { payload, blobs } = stored
        index.set(payload, payload.result.outputKey, blobs)
      })
    }
    for await (const { key } of store.list(recordPrefix)) {
      if (batch.push(key) >= 1000) await read()
    }
    await read()
    await this.#catchUp()
    if (index.size > 0) {
      // A log that begins with 0 has everything in it: this one does not.
      this.#next = Math.max(1, this.#next)
      await this.#writeIndex()
    }
    onRebuilt?.(index.size, now() - begun)
  }

  async #catchUp(): Promise<void> {
    const { now } = this.#options
    const at = now()
    const isAway = at - this.#refreshedAt > awayMs && this.#refreshedAt > 0
    this.#refreshedAt = at
    if (isAway && ((await this.#numbers(indexPrefix)).at(-1) ?? 0) > this.#next) return await this.#load()
    while (await this.#readNext());
  }

  /** Takes the next entry over, if there is one. */
  async #readNext(): Promise<boolean> {
    const object = numbered(logPrefix, this.#next)
    const bytes = await readObject(this.#options.store, object, maxEntryBytes)
    if (bytes === undefined) return false
    this.#next++
    // What cannot be read is of a later version, or damaged: what it told of is found when it is stored again.
    for (const change of decodeEntry(bytes) ?? []) this.#apply(change)
    return true
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting.splice(0, changesPerEntry)
      try {
        await this.#writeEntry(waiting.map(({ change }) => change))
      } catch (error) {
        for (const { fail } of [...waiting, ...this.#waiting.splice(0)]) fail(error)
        throw error
      }
      for (const { change, done } of waiting) {
        this.#apply(change)
        done()
      }
    }
  }

  async #writeEntry(changes: readonly RecordChange[]): Promise<void> {
    const bytes = encodeEntry(changes)
    while (!(await putBytes(this.#options.store, numbered(logPrefix, this.#next), bytes))) {
      if (!(await this.#readNext())) this.#next++
    }
    this.#next++
  }

  #apply(change: RecordChange): void {
    const { index } = this.#options
    const { scope, key } = change.name
    if (change.kind === 'removed') return void index.delete(scope, key)
    index.set(change.name, change.outputKey, change.blobs)
  }

  async #writeIndex(): Promise<void> {
    const { store, index } = this.#options
    await putBytes(store, numbered(indexPrefix, this.#next), index.encode())
    this.#indexed = this.#next
  }

  /** Removes entries and indexes that the newest index has in it, an hour after they were written. */
  async #prune(): Promise<void> {
    const { store, now } = this.#options
    const newest = (await this.#numbers(indexPrefix)).at(-1) ?? 0
    this.#indexed = Math.max(this.#indexed, newest)
    for (const prefix of [logPrefix, indexPrefix]) {
      for await (const { key, modifiedMs, version } of store.list(prefix)) {
        const number = numberOf(prefix, key)
        if (number === undefined || number >= newest || modifiedMs > now() - keptMs) continue
        await store.delete(key, { version })
      }
    }
  }

  async #numbers(prefix: string): Promise<readonly number[]> {
    const numbers: number[] = []
    for await (const { key } of this.#options.store.list(prefix)) {
      const number = numberOf(prefix, key)
      if (number !== undefined) numbers.push(number)
    }
    return numbers
  }
}

interface WrittenEntry {
  readonly v: 1
  readonly added: readonly { scope: string; key: Digest; outputKey: Digest; blobs: readonly Digest[] }[]
  readonly removed?: readonly { scope: string; key: Digest }[]
}

const digest: Shape = (value) => typeof value === 'string' && isDigest(value)
const entryShape = objectOf({
  v: oneOf(1),
  added: listOf(objectOf({ scope: text, key: digest, outputKey: digest, blobs: listOf(digest) })),
  removed: optional(listOf(objectOf({ scope: text, key: digest }))),
})

function encodeEntry(changes: readonly RecordChange[]): Buffer {
  const added = changes.flatMap((change) =>
    change.kind === 'added' ? [{ ...change.name, outputKey: change.outputKey, blobs: change.blobs }] : [],
  )
  const removed = changes.flatMap((change) => (change.kind === 'removed' ? [change.name] : []))
  const entry: WrittenEntry = { v: 1, added, removed }
  return Buffer.from(JSON.stringify(entry))
}

function decodeEntry(bytes: Buffer): readonly RecordChange[] | undefined {
  const value = parseJson(bytes.toString('utf8'))
  if (!isRecord(value) || !entryShape(value)) return undefined
  const { added, removed = [] } = value as unknown as WrittenEntry
  const named = ({ scope, key }: { scope: string; key: Digest }) =>
    isScope(scope) ? ({ scope: scope as Scope, key } as const) : undefined
  return [
    ...removed.flatMap((each) => {
      const name = named(each)
      return name ? [{ kind: 'removed' as const, name }] : []
    }),
    ...added.flatMap((each) => {
      const name = named(each)
      const { outputKey, blobs } = each
      return name ? [{ kind: 'added' as const, name, outputKey, blobs }] : []
    }),
  ]
}
