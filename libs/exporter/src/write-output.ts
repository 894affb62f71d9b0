import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'

/**
 * Gives `write` a stream to a file or to a caller's own stream. A file appears under its name only when it is complete and
 * durable; what was there before stays until then. A caller's stream is not ended.
 *
 * @throws {EnvironmentError} `ERR_OUTPUT`, or `ERR_STORE_NO_SPACE` if the disk is full
 */
export async function writeOutput(
  dest: string | Writable,
  write: (out: Writable) => Promise<void>,
): Promise<void> {
  if (typeof dest !== 'string') return await write(dest)
  const temporary = join(dirname(dest), `.${basename(dest)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const out = createWriteStream(temporary, { flags: 'wx', flush: true })
    const done = finished(out)
    done.catch(() => {})
    await write(out)
    out.end()
    await done
    await rename(temporary, dest)
    await syncDirectory(dirname(dest))
  } catch (error) {
    await rm(temporary, { force: true })
    throw outputError(dest, error)
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Explains a failure to write an output file; errors of our own pass through. */
export function outputError(dest: string, error: unknown): unknown {
  if (isBuildError(error) || !(error instanceof Error) || !('code' in error)) return error
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return new EnvironmentError('ERR_STORE_NO_SPACE', `Cannot write "${dest}": the disk is full`, {
      cause: error,
    })
  }
  const reason = error.code === 'ENOENT' ? 'its directory does not exist' : error.message
  return new EnvironmentError('ERR_OUTPUT', `Cannot write "${dest}": ${reason}`, { cause: error })
}
