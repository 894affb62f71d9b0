import { pipeline, type Readable } from 'node:stream'
import { type Expected, verifyingStream } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { maxDocumentBytes } from './json-document.ts'
import type { Descriptor } from './types.ts'

/** Opens the bytes of a blob. */
export type OpenBlob = (digest: Descriptor['digest']) => Readable | Promise<Readable>

/**
 * Reads a manifest, an index or a config whole and verifies it.
 *
 * @throws {UserError} `ERR_MANIFEST_INVALID` if its descriptor says more than 4 MiB; `ERR_DIGEST_MISMATCH`,
 *   `ERR_SIZE_MISMATCH`
 */
export async function readDocument(open: OpenBlob, descriptor: Descriptor): Promise<Buffer> {
  if (descriptor.size > maxDocumentBytes) {
    throw new UserError(
      'ERR_MANIFEST_INVALID',
      `Cannot read ${descriptor.digest}: it has ${descriptor.size} bytes, expected at most ${maxDocumentBytes}`,
    )
  }
  const expected: Expected = descriptor
  const verified = verifyingStream(expected, `blob ${descriptor.digest}`)
  const source = await open(descriptor.digest)
  // Not `pipe`: where the bytes are wrong the source is let go of as well.
  pipeline(source, verified, () => {})
  const chunks: Buffer[] = []
  for await (const chunk of verified) chunks.push(chunk)
  return Buffer.concat(chunks)
}
