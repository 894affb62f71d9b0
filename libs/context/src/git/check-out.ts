import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type GitRemote, resolveSubmoduleRemote } from '@tsbuild/dockerfile'
import type { Store } from '@tsbuild/store'
import { accessTo, type CredentialSources, type RemoteAccess } from './credentials.ts'
import { contentRefused, explain, isLocalDamage } from './failures.ts'
import { emptyDirectory, enterDirectory } from './file-tree.ts'
import type { Git } from './git.ts'
import { makeGitDirectory, noteSubmodule } from './keep-git-dir.ts'
import { ensureObject, type WantedObject } from './object-cache.ts'
import { discardObjectCache, type ObjectCache, openObjectCache } from './open-object-cache.ts'
import { peel, readCommit, readModules, type SubmoduleRow, type TreeBudget } from './read-commit.ts'

/** What every step for one source works with. */
export interface CheckoutParts {
  readonly git: Git
  readonly store: Pick<Store, 'sources' | 'locks'>
  readonly credentials: CredentialSources
  /** The repository that was asked for; submodules are judged by it. */
  readonly root: GitRemote
  /** An empty directory of ours. */
  readonly scratch: string
  readonly signal: AbortSignal
  readonly budget: TreeBudget
  readonly keepGitDir: boolean
  readonly submodules: boolean
}

/** One repository, and where its files go. */
export interface Checkout {
  readonly access: RemoteAccess
  readonly wanted: WantedObject
  /** An empty directory. */
  readonly workTree: string
  /** The directory that is needed; submodules elsewhere are left out. Empty is all. */
  readonly subdir: string
  /** How many repositories are around it. */
  readonly depth: number
}

/** Submodules in submodules in …: a chain of repositories has no end of its own. */
const maxDepth = 16

/**
 * Has an object in the store's repository of a remote, and does something with it while the remote's lock is held. A
 * repository that turns out to be damaged is made anew, once.
 *
 * @throws {UserError} `ERR_GIT_REF_NOT_FOUND`
 * @throws {EnvironmentError} `ERR_GIT_FAILED`
 */
export async function withObject<T>(
  parts: Pick<CheckoutParts, 'git' | 'store' | 'signal'>,
  access: RemoteAccess,
  wanted: WantedObject,
  action: (cache: ObjectCache, object: string) => Promise<T>,
): Promise<T> {
  const { git, store, signal } = parts
  const name = `git ${access.remote.remote}`
  const attempt = async (directory: string): Promise<T> => {
    const cache = await openObjectCache(git, directory, wanted.idLength)
    try {
      return await action(cache, await ensureObject(git, cache, access, wanted))
    } catch (error) {
      if (cache.fresh || !isLocalDamage(error)) throw error
      await discardObjectCache(cache)
      return attempt(directory)
    }
  }
  try {
    return await store.locks.withLock(name, async () => attempt(await store.sources.workDirectory(name)), {
      signal,
    })
  } catch (error) {
    throw explain(error, access)
  }
}

/**
 * Writes the files of a commit and of its submodules.
 *
 * @returns the committer's time, Unix seconds
 * @throws {UserError} `ERR_GIT_CONTENT` for what is refused; what {@link withObject} throws
 */
export async function checkOut(parts: CheckoutParts, checkout: Checkout): Promise<number> {
  const { access, wanted, workTree } = checkout
  const { timeSeconds, links, modules } = await withObject(parts, access, wanted, async (cache, object) => {
    const budget = { ...parts.budget }
    const git: Git = (call) => parts.git({ gitDir: cache.path, ...call })
    const { commit, timeSeconds } = await peel(git, object)
    const facts = await readCommit(git, commit, budget)
    if (facts === undefined)
      throw contentRefused('the files', access.remote.remote, 'they are more than the limits allow')
    await writeFiles(parts, git, commit, workTree)
    if (parts.keepGitDir) {
      const { remote } = access.remote
      const refName = wanted.name
      await makeGitDirectory(parts.git, { workTree, cachePath: cache.path, object, commit, refName, remote })
    }
    const wantsModules = parts.submodules && facts.hasModules && facts.links.size > 0
    Object.assign(parts.budget, budget)
    return { ...facts, timeSeconds, modules: wantsModules ? await readModules(git, commit) : [] }
  })
  if (parts.submodules) {
    // One after the other, and without the lock of this repository: two that contain each other must not wait in a circle.
    for (const [path, commit] of links) await checkOutSubmodule(parts, checkout, { path, commit, modules })
  }
  return timeSeconds
}

async function writeFiles(parts: CheckoutParts, git: Git, commit: string, workTree: string): Promise<void> {
  const indexFile = join(parts.scratch, 'index')
  await emptyDirectory(workTree)
  await rm(indexFile, { force: true })
  try {
    await git({ args: ['read-tree', '-u', '--reset', commit], workTree, indexFile })
  } finally {
    await rm(indexFile, { force: true })
  }
}

interface SubmoduleLink {
  readonly path: string
  readonly commit: string
  readonly modules: readonly SubmoduleRow[]
}

async function checkOutSubmodule(parts: CheckoutParts, outer: Checkout, link: SubmoduleLink): Promise<void> {
  const { path, commit, modules } = link
  const parent = outer.access.remote
  const refused = (why: string) => contentRefused(`the submodule ${JSON.stringify(path)}`, parent.remote, why)
  const subdir = withinLink(outer.subdir, path)
  const row = modules.find((one) => one.path === path)
  if (subdir === undefined || row?.update === 'none') return
  if (row?.url === undefined) throw refused('.gitmodules has no URL for it')
  if (outer.depth >= maxDepth) throw refused(`it is in more than ${maxDepth} others`)
  const remote = resolveSubmoduleRemote(parent, row.url)
  if (typeof remote === 'string') throw refused(`of its URL ${JSON.stringify(row.url)}, ${remote}`)
  const target = await enterDirectory(outer.workTree, path)
  if (typeof target === 'string') throw refused(target)
  const access = await accessTo(remote, parts.root, parts.credentials)
  const wanted = { id: commit, idLength: commit.length, name: undefined }
  await checkOut(parts, { access, wanted, workTree: target.path, subdir, depth: outer.depth + 1 })
  if (parts.keepGitDir) await noteSubmodule(parts.git, outer.workTree, row.name, remote.remote)
}

/** The part of a wanted directory that is below a link; undefined if it is elsewhere. */
function withinLink(subdir: string, path: string): string | undefined {
  if (subdir === '' || subdir === path || path.startsWith(`${subdir}/`)) return ''
  return subdir.startsWith(`${path}/`) ? subdir.slice(path.length + 1) : undefined
}
