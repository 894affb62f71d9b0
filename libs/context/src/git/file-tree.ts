import { chmodSync, lstatSync, lutimesSync, readdirSync } from 'node:fs'
import { lstat, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'

/** The bytes of a name, which need not be UTF-8. */
const inside = (path: Buffer, name: Buffer) => Buffer.concat([path, Buffer.from('/'), name])

/**
 * Gives every directory 0755, every file 0644 or 0755, and all of them, symlinks included, one time.
 *
 * @param timeSeconds Unix time, may have a fraction
 */
export async function settleTree(path: string | Buffer, timeSeconds: number): Promise<void> {
  const folder = Buffer.from(path)
  for (const entry of readdirSync(folder, { withFileTypes: true, encoding: 'buffer' })) {
    const inner = inside(folder, entry.name)
    if (entry.isDirectory()) {
      await settleTree(inner, timeSeconds)
      continue
    }
    if (entry.isFile()) settleMode(inner, (mode) => ((mode & 0o100) === 0 ? 0o644 : 0o755))
    lutimesSync(inner, timeSeconds, timeSeconds)
  }
  settleMode(folder, () => 0o755)
  lutimesSync(folder, timeSeconds, timeSeconds)
  // A large tree must not keep the process from everything else.
  await nextTurn()
}

function settleMode(path: Buffer, wanted: (mode: number) => number): void {
  const mode = lstatSync(path).mode & 0o7777
  if (mode !== wanted(mode)) chmodSync(path, wanted(mode))
}

/** Deletes what is in a directory, and keeps the directory. */
export async function emptyDirectory(path: string): Promise<void> {
  const folder = Buffer.from(path)
  for (const name of await readdir(folder, { encoding: 'buffer' }))
    await rm(inside(folder, name), { recursive: true, force: true })
}

/**
 * Follows a relative path of real directories.
 *
 * @returns the path, or a sentence's end that says what is wrong
 */
export async function enterDirectory(
  root: string,
  relative: string,
): Promise<{ readonly path: string } | string> {
  let path = root
  for (const segment of relative.split('/').filter((one) => one !== '')) {
    if (segment === '.' || segment === '..') return `${JSON.stringify(segment)} is no name`
    path = join(path, segment)
    const stat = await lstatIfThere(path)
    if (stat === undefined) return 'there is no such directory'
    if (stat.isSymbolicLink()) return `${JSON.stringify(path.slice(root.length + 1))} is a symlink`
    if (!stat.isDirectory()) return `${JSON.stringify(path.slice(root.length + 1))} is no directory`
  }
  return { path }
}

async function lstatIfThere(path: string) {
  try {
    return await lstat(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined
    throw error
  }
}

/** Moves all that is in a directory into an empty one of the same file system. */
export async function moveContents(from: string, to: string): Promise<void> {
  const [source, target] = [Buffer.from(from), Buffer.from(to)]
  for (const name of await readdir(source, { encoding: 'buffer' }))
    await rename(inside(source, name), inside(target, name))
}
