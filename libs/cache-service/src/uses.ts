import { isDigest } from '@tsbuild/digest'
import type { ObjectKey, ObjectStore } from '@tsbuild/object-store'
import { count, isRecord, objectOf, oneOf, parseJson } from '@tsbuild/shape'
import { isScope } from '@tsbuild/trust'
import { type RecordName, recordObject, usesPrefix } from './layout.ts'
import { putBytes, readObject } from './read-object.ts'
import { type IndexEntry, keyOf } from './record-index.ts'

/** The use of a record is noted once in this time at most: what is evicted is days old. */
export const noteEveryMs = 3_600_000
const maxUsesBytes = 64 * 1024 * 1024

/** Notes which records are used, for whoever decides which may go. Loses, when a process dies, what it noted last. */
export class UseLog {
  readonly #store: ObjectStore
  readonly #now: () => number
  readonly #random: () => string
  #used = new Map<string, RecordName>()

  /** @param random some hex digits that no other process has */
  constructor(store: ObjectStore, now: () => number, random: () => string) {
    this.#store = store
    this.#now = now
    this.#random = random
  }

  note(entry: IndexEntry): void {
    const { scope } = entry
    this.#used.set(`${scope} ${entry.key}`, { scope, key: keyOf(entry) })
  }

  /** Writes what was noted, all as one object. */
  async flush(): Promise<void> {
    const used = [...this.#used.values()]
    if (used.length === 0) return
    this.#used = new Map()
    const scopes: Record<string, string[]> = {}
    for (const { scope, key } of used) {
      scopes[scope] ??= []
      scopes[scope].push(key)
    }
    const at = this.#now()
    const key = `${usesPrefix}${String(at).padStart(13, '0')}-${this.#random()}`
    await putBytes(this.#store, key, Buffer.from(JSON.stringify({ v: 1, at, scopes })))
  }
}

/**
 * When records were used last, by the name of their object. One that is not in it was not used since it was put, or since the oldest of the
 * notes.
 *
 * @returns unix ms, to within {@link noteEveryMs}
 */
export async function readUses(store: ObjectStore): Promise<ReadonlyMap<ObjectKey, number>> {
  const latest = new Map<ObjectKey, number>()
  for await (const { key } of store.list(usesPrefix)) {
    const bytes = await readObject(store, key, maxUsesBytes)
    const value = bytes && parseJson(bytes.toString('utf8'))
    if (!isRecord(value) || !objectOf({ v: oneOf(1), at: count, scopes: isRecord })(value)) continue
    for (const [scope, keys] of Object.entries(value.scopes as Record<string, unknown>)) {
      if (!isScope(scope) || !Array.isArray(keys)) continue
      for (const each of keys) {
        if (typeof each !== 'string' || !isDigest(each)) continue
        const object = recordObject({ scope, key: each })
        latest.set(object, Math.max(latest.get(object) ?? 0, Number(value.at)))
      }
    }
  }
  return latest
}

/** Removes notes that are older than `beforeMs`: what was not used since then counts as old anyway. */
export async function forgetUses(store: ObjectStore, beforeMs: number): Promise<void> {
  for await (const { key, modifiedMs } of store.list(usesPrefix)) {
    if (modifiedMs < beforeMs) await store.delete(key)
  }
}
