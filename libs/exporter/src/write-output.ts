import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { EnvironmentError } from '@tsbuild/errors'
import { outputFailure, replaceBy } from '@tsbuild/store'

/**
 * Gives `write` a stream to a file or to a caller's own stream. A file appears under its name only when it is complete and
 * durable; what was there before stays until then, and a symlink stays one. What is no file (a device, a pipe) is written
 * to as it is. A caller's stream is not ended.
 *
 * @throws {EnvironmentError} `ERR_OUTPUT`, or `ERR_STORE_NO_SPACE` if the disk is full
 */
export async function writeOutput(
  dest: string | Writable,
  write: (out: Writable) => Promise<void>,
): Promise<void> {
  if (typeof dest !== 'string') return await write(dest)
  try {
    const place = await lookUp(dest)
    if (place.kind === 'special') await writeStream(createWriteStream(place.path), write)
    else await replaceFileBy(place.path, write)
  } catch (error) {
    throw outputError(dest, error)
  }
}

/**
 * As {@link writeOutput}, for what writes to a descriptor of this process, at its position.
 *
 * @throws {EnvironmentError} `ERR_OUTPUT`, or `ERR_STORE_NO_SPACE` if the disk is full
 */
export async function writeOutputFile(dest: string, write: (fd: number) => Promise<void>): Promise<void> {
  try {
    const place = await lookUp(dest)
    if (place.kind === 'special') await withFile(place.path, 'w', write)
    else {
      await replaceBy(place.path, (temporary) =>
        withFile(temporary, 'wx', async (fd, file) => {
          await write(fd)
          await file.sync()
        }),
      )
    }
  } catch (error) {
    throw outputError(dest, error)
  }
}

async function withFile(
  path: string,
  flags: string,
  body: (fd: number, file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags)
  try {
    await body(file.fd, file)
  } finally {
    await file.close()
  }
}

/**
 * Refuses a place where an output cannot be written, before the work is done that it is to hold.
 *
 * @param path absolute
 * @throws {EnvironmentError} `ERR_OUTPUT`
 */
export async function assertOutputPlace(path: string, kind: 'file' | 'directory'): Promise<void> {
  try {
    const stats = await statIfThere(path)
    if (kind === 'file') {
      if (stats?.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' })
      // Its directory must be there; one that is the output itself is made.
      if (stats === undefined) await stat(dirname(path))
    } else if (stats !== undefined && !stats.isDirectory()) {
      throw new EnvironmentError('ERR_OUTPUT', `Cannot write "${path}": it is no directory`)
    }
  } catch (error) {
    throw outputError(path, error)
  }
}

async function statIfThere(path: string) {
  return await stat(path).catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}

/** Where a name leads to. */
async function lookUp(dest: string): Promise<{ readonly kind: 'file' | 'special'; readonly path: string }> {
  const stats = await statIfThere(dest)
  if (stats === undefined) return { kind: 'file', path: dest }
  // A rename would put a file in the place of /dev/null; the name /dev/stdout leads to no path that could be opened.
  if (!stats.isFile() && !stats.isDirectory()) return { kind: 'special', path: dest }
  return { kind: 'file', path: await realpath(dest) }
}

/** Puts a file with these bytes in the place of what is there, complete and durable. A symlink is replaced, not followed. */
export async function replaceFile(path: string, bytes: Uint8Array, mode = 0o644): Promise<void> {
  await replaceFileBy(path, async (out) => void out.write(bytes), mode)
}

async function replaceFileBy(
  path: string,
  write: (out: Writable) => Promise<void>,
  mode?: number,
): Promise<void> {
  await replaceBy(path, (temporary) =>
    writeStream(
      createWriteStream(temporary, { flags: 'wx', flush: true, ...(mode !== undefined && { mode }) }),
      write,
    ),
  )
}

/** Ends in any case with the file closed. */
async function writeStream(out: Writable, write: (out: Writable) => Promise<void>): Promise<void> {
  const done = finished(out)
  done.catch(() => {})
  try {
    await write(out)
    out.end()
    await done
  } catch (error) {
    out.destroy()
    if (!out.closed) await once(out, 'close')
    throw error
  }
}

/** Explains a failure to write an output; errors of our own pass through. */
export function outputError(dest: string, error: unknown): unknown {
  return outputFailure(error, `Cannot write "${dest}"`)
}
