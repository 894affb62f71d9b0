import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { UserError } from '@tsbuild/errors'
import type { ObjectKey, ObjectSource, PutExpectation } from './types.ts'

/** Counts and hashes bytes on their way, and says whether they are the expected ones. */
export class Verifier {
  readonly #key: ObjectKey
  readonly #expected: PutExpectation
  readonly #hash = createHash('sha256')
  #size = 0

  constructor(key: ObjectKey, expected: PutExpectation) {
    this.#key = key
    this.#expected = expected
  }

  /** @throws {UserError} `ERR_SIZE_MISMATCH` as soon as there are too many */
  update(chunk: Uint8Array): void {
    this.#size += chunk.length
    const { size } = this.#expected
    if (size !== undefined && this.#size > size) throw wrongSize(this.#key, `${this.#size} or more`, size)
    this.#hash.update(chunk)
  }

  /** @throws {UserError} `ERR_SIZE_MISMATCH`, `ERR_DIGEST_MISMATCH` */
  finish(): void {
    assertSize(this.#key, this.#size, this.#expected)
    const actual = this.#hash.digest('hex')
    if (actual !== this.#expected.sha256) {
      throw new UserError(
        'ERR_DIGEST_MISMATCH',
        `Cannot store object "${this.#key}": its bytes hash to ${actual}, expected ${this.#expected.sha256}`,
      )
    }
  }
}

/** @throws {UserError} `ERR_SIZE_MISMATCH` */
export function assertSize(key: ObjectKey, size: number, expected: Pick<PutExpectation, 'size'>): void {
  if (expected.size !== undefined && size !== expected.size) throw wrongSize(key, `${size}`, expected.size)
}

/** Whether a source is a file of the caller's. */
export function isSourceFile(
  source: ObjectSource,
): source is Extract<ObjectSource, { path: string; size: number }> {
  return !(source instanceof Uint8Array) && !(source instanceof Readable)
}

/** For a source of which nothing is wanted any more. */
export function destroySource(source: ObjectSource): void {
  if (source instanceof Readable) source.destroy()
}

/** A chunk of a stream of bytes. @throws {TypeError} where somebody set an encoding */
export function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk
  throw new TypeError('the stream of an object gives texts instead of bytes')
}

function wrongSize(key: ObjectKey, size: string, expected: number): UserError {
  return new UserError(
    'ERR_SIZE_MISMATCH',
    `Cannot store object "${key}": it has ${size} bytes, expected ${expected}`,
  )
}
