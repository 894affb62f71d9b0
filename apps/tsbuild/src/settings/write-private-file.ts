import { randomBytes } from 'node:crypto'
import { open, readlink, realpath, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { EnvironmentError } from '@tsbuild/errors'
import { makeDirectories } from '@tsbuild/store'

/**
 * Replaces a text file in one step; nobody but its owner can read it, before, then or afterwards. A symlink stays, and what it leads to is replaced.
 *
 * @throws {EnvironmentError} `ERR_OUTPUT` if it cannot be written; the file is then as it was
 */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  try {
    await makeDirectories(dirname(path), 0o700)
    const target = await realpath(path).catch(() => linkTarget(path))
    const draft = `${target}.${randomBytes(6).toString('hex')}`
    try {
      const file = await open(draft, 'wx', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(draft, target)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
  } catch (cause) {
    throw new EnvironmentError('ERR_OUTPUT', `Cannot write "${path}"`, { cause })
  }
}

/** Where a symlink leads whose file is not there yet; the path itself where it is none. */
async function linkTarget(path: string): Promise<string> {
  return resolve(await realpath(dirname(path)), await readlink(path).catch(() => path))
}
