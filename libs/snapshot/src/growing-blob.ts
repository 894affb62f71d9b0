import { open } from 'node:fs/promises'

const chunkBytes = 256 * 1024

/** Told about the file that a blob is written to while it is fetched. Positions are in bytes. */
export interface FetchWatcher {
  /** Nothing is in the file yet; it keeps this name until the blob is whole. */
  begins(path: string): void
  /** Everything below `position` is there. */
  grew(position: number): void
  /** What is there was wrong, and is written again from the start. */
  restarts(): void
}

/** A blob on its way into the store, which can be read meanwhile. None of its bytes are verified. */
export class GrowingBlob implements FetchWatcher {
  readonly #sizeBytes: number
  #path: string | undefined
  #position = 0
  #broken = false
  #waiting: (() => void)[] = []

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes
  }

  begins(path: string): void {
    if (this.#path === undefined) this.#path = path
    else this.#broken = true
    this.#wake()
  }

  grew(position: number): void {
    this.#position = position
    this.#wake()
  }

  restarts(): void {
    this.#broken = true
    this.#wake()
  }

  /** Nothing more comes; what has come stays readable. */
  ended(): void {
    if (this.#position < this.#sizeBytes) this.#broken = true
    this.#wake()
  }

  /** Resolves when there is something to read, with false if there will never be. */
  async hasBegun(): Promise<boolean> {
    while (this.#path === undefined && !this.#broken) await this.#change()
    return !this.#broken
  }

  /**
   * Reads from the start to the end, as fast as the bytes come.
   *
   * @throws {Error} where they do not come, or were wrong: whoever has read them throws everything away
   */
  async *read(): AsyncGenerator<Buffer> {
    if (!(await this.hasBegun()) || this.#path === undefined) throw new Error('the blob does not come')
    const file = await open(this.#path, 'r')
    try {
      for (let at = 0; at < this.#sizeBytes; ) {
        if (this.#broken) throw new Error('the blob does not come')
        const length = Math.min(this.#position - at, chunkBytes)
        if (length === 0) {
          await this.#change()
          continue
        }
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, at)
        at += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
