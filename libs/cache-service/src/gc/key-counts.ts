import { createHash } from 'node:crypto'
import type { ObjectKey } from '@tsbuild/object-store'

/**
 * How many hold a key, for millions of keys: each counts as 52 bits of its hash. Two keys that are one here only keep each other alive.
 */
export class KeyCounts {
  readonly #counts: Map<number, number>

  /** @param others what is counted already */
  constructor(others?: KeyCounts) {
    this.#counts = new Map(others === undefined ? [] : others.#counts)
  }

  add(key: ObjectKey): void {
    this.change(idOf(key), 1)
  }

  has(id: number): boolean {
    return this.#counts.has(id)
  }

  change(id: number, by: number): void {
    const count = (this.#counts.get(id) ?? 0) + by
    if (count > 0) this.#counts.set(id, count)
    else this.#counts.delete(id)
  }
}

/** The number that a key counts as. */
export function idOf(key: ObjectKey): number {
  return Number.parseInt(createHash('sha1').update(key).digest('hex').slice(0, 13), 16)
}
