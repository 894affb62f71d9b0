import { existsSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { RemoteAccess } from './credentials.ts'
import { refNotFound, refusesCommit, refusesDepth } from './failures.ts'
import type { Git, GitCall } from './git.ts'
import { isObjectId } from './resolve-ref.ts'
import { GitFailure } from './run-git.ts'

/** What is wanted of a remote. */
export interface WantedObject {
  /** A whole object id, or the beginning of a commit's. */
  readonly id: string
  /** The ref that has it, for servers that hand out no single commits. */
  readonly name: string | undefined
}

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
  return `refs/tsbuild/${object}`
}

/**
 * Opens the repository for objects of a remote, or makes it.
 *
 * @param directory of this remote, for good
 * @param length of its object ids in hex digits
 */
export async function openObjectCache(git: Git, directory: string, length: number): Promise<ObjectCache> {
  const format = length === 64 ? 'sha256' : 'sha1'
  const path = join(directory, `${format}.git`)
  if (existsSync(path)) {
    await removeStaleFiles(path)
    return { path, fresh: false }
  }
  const draft = join(directory, `${format}.new`)
  await rm(draft, { recursive: true, force: true })
  await git({
    args: [
      'init',
      '--quiet',
      '--bare',
      '--template=',
      `--object-format=${format}`,
      '--initial-branch=main',
      draft,
    ],
  })
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
  const beside = async (folder: string, stale: RegExp) => {
    const names = existsSync(join(path, folder)) ? await readdir(join(path, folder)) : []
    return names.filter((name) => stale.test(name)).map((name) => join(path, folder, name))
  }
  const packs = await beside('objects/pack', /^tmp_/)
  const refs = await beside('refs/tsbuild', /\.lock$/)
  for (const file of [...locks, ...packs, ...refs]) await rm(file, { force: true })
}

/**
 * Brings an object and, of a commit or tag, its whole tree into the cache: nothing but this commit where the server allows
 * it, else the ref that has it, else all branches and tags.
 *
 * @returns the whole id of the object
 * @throws {UserError} `ERR_GIT_REF_NOT_FOUND` if it is in none of these
 * @throws {GitFailure} if the remote cannot be fetched from
 */
export async function ensureObject(
  git: Git,
  cache: ObjectCache,
  access: RemoteAccess,
  wanted: WantedObject,
): Promise<string> {
  const local: Git = (call) => git({ gitDir: cache.path, ...call })
  if (!isObjectId(wanted.id)) {
    await fetchAll(local, cache, access)
    return mark(local, await expand(local, access, wanted.id))
  }
  if (await isMarked(local, wanted.id)) return wanted.id
  if (await tryFetch(local, access, wanted.id)) return mark(local, wanted.id)
  if (wanted.name !== undefined && (await tryFetch(local, access, wanted.name))) {
    // The ref may have moved since we asked what it is.
    if (await has(local, wanted.id)) return mark(local, wanted.id)
  }
  await fetchAll(local, cache, access)
  if (!(await has(local, wanted.id))) throw refNotFound(wanted.id, access.remote.remote)
  return mark(local, wanted.id)
}

async function isMarked(git: Git, object: string): Promise<boolean> {
  const output = await git({ args: ['for-each-ref', '--format=%(objectname)', markOf(object)] })
  return output.trim() === object
}

const fetchArgs = [
  'fetch',
  '--progress',
  '--no-tags',
  '--no-write-fetch-head',
  '--no-recurse-submodules',
  '--force',
]

/** @returns false if the server refuses to hand this out */
async function tryFetch(git: Git, access: RemoteAccess, what: string): Promise<boolean> {
  const fetch = (...options: readonly string[]): GitCall => ({
    args: [...fetchArgs, ...options, '--', access.remote.remote, what],
    access,
  })
  try {
    await git(fetch('--depth=1'))
    return true
  } catch (error) {
    if (refusesCommit(error)) return false
    if (!refusesDepth(error)) throw error
  }
  try {
    await git(fetch())
    return true
  } catch (error) {
    if (refusesCommit(error)) return false
    throw error
  }
}

async function fetchAll(git: Git, cache: ObjectCache, access: RemoteAccess): Promise<void> {
  const whole = existsSync(join(cache.path, 'shallow')) ? ['--unshallow'] : []
  const refs = ['+refs/heads/*:refs/remote/heads/*', '+refs/tags/*:refs/remote/tags/*']
  await git({ args: [...fetchArgs, '--prune', ...whole, '--', access.remote.remote, ...refs], access })
}

async function has(git: Git, object: string): Promise<boolean> {
  try {
    await git({ args: ['cat-file', '-e', object] })
    return true
  } catch (error) {
    if (error instanceof GitFailure) return false
    throw error
  }
}

/** The one commit whose id begins so. */
async function expand(git: Git, access: RemoteAccess, id: string): Promise<string> {
  try {
    const output = await git({ args: ['rev-parse', '--verify', '--end-of-options', `${id}^{commit}`] })
    return output.trim()
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error
    const hints = error.complaint.includes('ambiguous') ? ['Several commits begin with these digits.'] : []
    throw refNotFound(id, access.remote.remote, hints)
  }
}

async function mark(git: Git, object: string): Promise<string> {
  await git({ args: ['update-ref', '--no-deref', markOf(object), object] })
  return object
}
