/**
 * Remembers what cannot change, by digest: bytes of manifests, sizes. Whether something is (still) there, and who may read it, is
 * never remembered: another process may have changed it.
 */
export class Memory<Value> {
  readonly #maxCost: number
  readonly #costOf: (value: Value) => number
  readonly #values = new Map<string, Value>()
  #cost = 0

  /** @param maxCost what is unused longest goes when the sum is more */
  constructor(maxCost: number, costOf: (value: Value) => number) {
    this.#maxCost = maxCost
    this.#costOf = costOf
  }

  get(key: string): Value | undefined {
    const value = this.#values.get(key)
    if (value === undefined) return undefined
    this.#values.delete(key)
    this.#values.set(key, value)
    return value
  }

  set(key: string, value: Value): void {
    this.delete(key)
    this.#values.set(key, value)
    this.#cost += this.#costOf(value)
    for (const oldest of this.#values.keys()) {
      if (this.#cost <= this.#maxCost) return
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const value = this.#values.get(key)
    if (value === undefined) return
    this.#values.delete(key)
    this.#cost -= this.#costOf(value)
  }
}
