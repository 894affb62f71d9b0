import { createHash } from 'node:crypto'
import { Transform, type TransformCallback } from 'node:stream'
import { UserError } from '@tsbuild/errors'
import { type Digest, digestFromHex } from './digest.ts'

/** What bytes must be. */
export interface Expected {
  readonly digest: Digest
  /** In bytes; unknown where the source did not say. */
  readonly size?: number | undefined
}

/**
 * A pass-through stream that fails unless exactly the expected bytes went through it. It fails as soon as there are too
 * many bytes; a consumer must not trust anything before the stream has ended without error.
 *
 * Errors: `ERR_SIZE_MISMATCH`, then `ERR_DIGEST_MISMATCH`.
 */
export function verifyingStream(expected: Expected, what: string): Transform {
  const hash = createHash('sha256')
  let size = 0
  const wrongSize = () =>
    new UserError(
      'ERR_SIZE_MISMATCH',
      `Cannot use ${what}: it has ${size} bytes or more, and its descriptor says ${expected.size}`,
    )
  return new Transform({
    transform(chunk: Buffer, _encoding, callback: TransformCallback) {
      size += chunk.length
      if (expected.size !== undefined && size > expected.size) return callback(wrongSize())
      hash.update(chunk)
      callback(null, chunk)
    },
    flush(callback) {
      if (expected.size !== undefined && size !== expected.size) return callback(wrongSize())
      const actual = digestFromHex(hash.digest('hex'))
      if (actual === expected.digest) return callback()
      callback(
        new UserError(
          'ERR_DIGEST_MISMATCH',
          `Cannot use ${what}: its digest is ${actual}, expected ${expected.digest}`,
        ),
      )
    },
  })
}
