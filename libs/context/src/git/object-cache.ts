import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RemoteAccess } from './credentials.ts'
import { refNotFound, refusesCommit, refusesDepth } from './failures.ts'
import type { Git, GitCall } from './git.ts'
import { markOf, type ObjectCache } from './open-object-cache.ts'
import { isObjectId } from './resolve-ref.ts'
import { GitFailure } from './run-git.ts'

/** What is wanted of a remote. */
export interface WantedObject {
  /** A whole object id, or the beginning of a commit's. */
  readonly id: string
  /** How many hex digits whole ids have here: 40, or 64 for sha256. */
  readonly idLength: number
  /** The ref that has it, for servers that hand out no single commits. */
  readonly name: string | undefined
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
  if (isMarked(cache, wanted.id)) return wanted.id
  if (await tryFetch(local, access, `${wanted.id}:${markOf(wanted.id)}`)) return wanted.id
  if (wanted.name !== undefined && (await tryFetch(local, access, wanted.name))) {
    // The ref may have moved since we asked what it is.
    if (await has(local, wanted.id)) return mark(local, wanted.id)
  }
  await fetchAll(local, cache, access)
  if (!(await has(local, wanted.id))) throw refNotFound(wanted.id, access.remote.remote)
  return mark(local, wanted.id)
}

/** Our refs are never packed: each is a file. */
function isMarked(cache: ObjectCache, object: string): boolean {
  try {
    return readFileSync(join(cache.path, markOf(object)), 'latin1').trim() === object
  } catch {
    return false
  }
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
async function tryFetch(git: Git, access: RemoteAccess, refSpec: string): Promise<boolean> {
  const fetch = (...options: readonly string[]): GitCall => ({
    args: [...fetchArgs, ...options, '--', access.remote.remote, refSpec],
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
