import type { IndexEntry } from './record-index.ts'

/** Bytes of records that were read and verified, the latest used, up to so many bytes in all. */
export class EnvelopeCache {
  readonly #most: number
  readonly #kept = new Map<IndexEntry, Buffer>()
  #bytes = 0

  constructor(mostBytes: number) {
    this.#most = mostBytes
  }

  /** How many bytes are kept. */
  get bytes(): number {
    return this.#bytes
  }

  get(entry: IndexEntry): Buffer | undefined {
    const bytes = this.#kept.get(entry)
    if (bytes === undefined) return undefined
    this.#kept.delete(entry)
    this.#kept.set(entry, bytes)
    return bytes
  }

  set(entry: IndexEntry, bytes: Buffer): void {
    this.delete(entry)
    // A slice of one of Node's pools would keep the whole pool.
    const own = Buffer.allocUnsafeSlow(bytes.length)
    bytes.copy(own)
    this.#kept.set(entry, own)
    this.#bytes += own.length
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#most) return
      this.delete(oldest)
    }
  }

  clear(): void {
    this.#kept.clear()
    this.#bytes = 0
  }

  delete(entry: IndexEntry): void {
    this.#bytes -= this.#kept.get(entry)?.length ?? 0
    this.#kept.delete(entry)
  }
}
