import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDirectories } from '@tsbuild/store'

/**
 * Makes a directory hold what `fill` writes and nothing else. What was there stays until all is written; the directory itself stays
 * the same one, it may be a mount.
 *
 * @param fill writes to the empty directory that it is given
 */
export async function mirrorDirectory(dest: string, fill: (fresh: string) => Promise<void>): Promise<void> {
  await makeDirectories(dest)
  // Within it: only so it is on the same file system, whatever is mounted there.
  const draft = join(dest, `.tsbuild-${randomBytes(6).toString('hex')}.tmp`)
  await mkdir(draft)
  try {
    await fill(draft)
    const fresh = await readdir(draft)
    // Also what a process that was killed has left.
    const old = (await readdir(dest)).filter((name) => join(dest, name) !== draft)
    for (const name of old) await rm(join(dest, name), { recursive: true, force: true })
    for (const name of fresh) await rename(join(draft, name), join(dest, name))
    await rmdir(draft)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
}
