import { existsSync } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Git } from './git.ts'

/** With more packs than this every look-up gets slow. */
const maxPacks = 50
/** How many of the newest objects stay when packs are put together. */
const keptMarks = 20

/**
 * A bare repository in which the objects of one remote gather. Its refs are `refs/tsbuild/<object id>`: one is made when
 * all that belongs to the object is there, so what an interrupted fetch left is never taken for whole.
 *
 * The caller holds the lock of the remote.
 */
export interface ObjectCache {
  /** Its path. */
  readonly path: string
  /** Whether it was made for this use: then damage is not its age's fault. */
  readonly fresh: boolean
}

/** The ref that says an object is there with all that belongs to it. */
export function markOf(object: string): string {
  return `${markFolder}/${object}`
}

const markFolder = 'refs/tsbuild'

/**
 * Opens the repository for objects of a remote, or makes it.
 *
 * @param directory of this remote, for good
 * @param idLength of its object ids, in hex digits
 */
export async function openObjectCache(git: Git, directory: string, idLength: number): Promise<ObjectCache> {
  const format = idLength === 64 ? 'sha256' : 'sha1'
  const path = join(directory, `${format}.git`)
  if (existsSync(path)) {
    await removeStaleFiles(path)
    await tidy(git, path)
    return { path, fresh: false }
  }
  const draft = join(directory, `${format}.new`)
  await rm(draft, { recursive: true, force: true })
  const flags = ['--quiet', '--bare', '--template=', `--object-format=${format}`, '--initial-branch=main']
  await git({ args: ['init', ...flags, draft] })
  await rename(draft, path)
  return { path, fresh: true }
}

/** Makes room for a new one. */
export async function discardObjectCache(cache: ObjectCache): Promise<void> {
  await rm(cache.path, { recursive: true, force: true })
}

/** What a killed git leaves: locks of files, which nobody holds while we hold ours, and packs under no name. */
async function removeStaleFiles(path: string): Promise<void> {
  const locks = ['shallow.lock', 'packed-refs.lock', 'config.lock', 'HEAD.lock'].map((name) =>
    join(path, name),
  )
  const refs = await filesIn(join(path, 'refs'), /\.lock$/, true)
  const packs = await filesIn(join(path, 'objects', 'pack'), /^\.?tmp[-_]/)
  for (const file of [...locks, ...refs, ...packs]) await rm(file, { force: true })
}

/** Each fetch makes a pack. When there are many, the oldest objects go and the rest becomes one pack. */
async function tidy(git: Git, path: string): Promise<void> {
  const packs = await filesIn(join(path, 'objects', 'pack'), /\.pack$/)
  if (packs.length <= maxPacks) return
  const marks = await filesIn(join(path, markFolder), /^[0-9a-f]+$/)
  const dated = await Promise.all(marks.map(async (file) => ({ file, age: -(await stat(file)).mtimeMs })))
  const old = dated.sort((a, b) => a.age - b.age).slice(keptMarks)
  for (const { file } of old)
    await git({ gitDir: path, args: ['update-ref', '-d', `${markFolder}/${basename(file)}`] })
  // Marks stay files of their own: they are looked for without git.
  await git({ gitDir: path, args: ['-c', 'gc.packRefs=false', 'gc', '--quiet', '--prune=now', '--force'] })
}

async function filesIn(folder: string, wanted: RegExp, recursive = false): Promise<readonly string[]> {
  if (!existsSync(folder)) return []
  const names = await readdir(folder, { recursive })
  return names.filter((name) => wanted.test(name)).map((name) => join(folder, name))
}
