import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { Transform, type TransformCallback } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type Digest, digestFromHex } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import { cancelled } from '@tsbuild/http'
import { onDisk } from '@tsbuild/store'
import { tooLarge } from './download.ts'
import { nonsense } from './exchange.ts'
import type { SourceUrl } from './source-url.ts'

/** A file with its digest and its size in bytes. */
export interface DecodedFile {
  readonly digest: Digest
  readonly size: number
}

/**
 * Whether a body is the file in another form. Some servers send what they keep with `Content-Encoding: gzip` whatever was
 * asked for; the file is what comes out of it then, as with BuildKit, whose client always undoes gzip and nothing else.
 */
export function isEncoded(encoding: string | undefined): boolean {
  return encoding?.trim().toLowerCase() === 'gzip'
}

/**
 * Undoes the gzip of a body.
 * @throws {EnvironmentError} `ERR_HTTP_RESPONSE` if it is not gzip, or larger than `maxBytes`
 */
export async function decodeBody(
  source: SourceUrl,
  from: string,
  to: string,
  options: { readonly maxBytes: number; readonly signal: AbortSignal },
): Promise<DecodedFile> {
  const hash = createHash('sha256')
  let size = 0
  const measure = new Transform({
    transform: (chunk: Buffer, _encoding, done: TransformCallback) => {
      size += chunk.length
      hash.update(chunk)
      done(size > options.maxBytes ? tooLarge(source, options.maxBytes) : null, chunk)
    },
  })
  const file = createWriteStream(to, { flags: 'wx', mode: 0o600 })
  try {
    await onDisk('write', to, () =>
      pipeline(createReadStream(from), createGunzip(), measure, file, { signal: options.signal }),
    )
  } catch (error) {
    if (options.signal.aborted) throw cancelled(`fetch ${JSON.stringify(source.shown)}`)
    if (isBuildError(error) || !isZlibError(error)) throw error
    throw nonsense(source, `the server says that it sends gzip, and does not (${error.message})`)
  }
  return { digest: digestFromHex(hash.digest('hex')), size }
}

function isZlibError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && /^Z_/.test(String(error.code))
}
