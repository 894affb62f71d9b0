import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf } from './fs-failure.ts'

/** Whoever removes what is empty may be faster than the second try. */
const mostAttempts = 100

/**
 * Makes a directory and those above it, where they are missing. Not by Node's own recursion: that never ends below /proc, where mkdir(2)
 * says ENOENT though the directory above is there, and it says ENOTDIR where the disk is full.
 *
 * @param mode of the directories that are made, before the umask
 * @throws the failed system call; EEXIST where something else has the name
 */
export async function makeDirectories(path: string, mode = 0o777): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await mkdir(path, mode)
      return
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'EEXIST' && (await isDirectory(path))) return
      if (errno !== 'ENOENT' || path === dirname(path) || attempt === mostAttempts) throw error
      await makeDirectories(dirname(path), mode)
    }
  }
}

/** A link to nothing is none. */
async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}
