import { UserError } from '@tsbuild/errors'
import type { FetchedSource, Store } from '@tsbuild/store'
import type { RemoteSources, RemoteTree } from '../remote-source.ts'
import { isObjectId } from './resolve-ref.ts'

/** What is fetched. */
export type GitSource = Parameters<RemoteSources['git']>[0]

type TreeStore = Pick<Store, 'sources' | 'cacheFile'>

/** Whether the tree has a `.git`. As with BuildKit a subdirectory has none, since it would describe the whole. */
export function keepsGitDir(source: GitSource): boolean {
  return source.keepGitDir && source.subdir === ''
}

/** What a tree depends on. A kept `.git` names the remote and the ref; without a commit they stand for it. */
function identityOf(source: GitSource, commit: string): readonly unknown[] {
  const { remote, ref, subdir, submodules, mtime } = source
  const keep = keepsGitDir(source)
  const where = commit === '' || keep ? [remote, ref] : []
  return [commit, subdir, keep, submodules, mtime, ...where]
}

/** The name of the lock for one source, so that two who want it at once fetch it once. */
export function sourceLock(source: GitSource): string {
  return `git source ${JSON.stringify(identityOf(source, ''))}`
}

/** The name under which the store has the tree of a commit. */
export function treeName(source: GitSource, commit: string): string {
  return `git ${JSON.stringify(identityOf(source, commit))}`
}

/** What the store notes of a tree. */
export interface TreeFacts {
  readonly commit: string
  /** Of the committer, Unix. */
  readonly timeSeconds: number
}

/**
 * What is known without asking anybody: the ref is a whole commit, or the checksum says which it must be.
 *
 * @throws {UserError} `ERR_DIGEST_MISMATCH`
 */
export function knownBefore(store: TreeStore, source: GitSource): RemoteTree | undefined {
  const commit = [source.ref, source.checksum ?? ''].find(isObjectId)
  const found = commit === undefined ? undefined : lookUp(store, source, commit)
  // The name of a tree is a commit: a tag's own id is not found here, and is compared when its commit is known.
  if (found !== undefined && isObjectId(source.ref)) assertChecksum(source, [source.ref])
  return found
}

/** The tree of a commit, if the store has it. */
export function lookUp(store: TreeStore, source: GitSource, commit: string): RemoteTree | undefined {
  const found = store.sources.get(treeName(source, commit))
  const facts = found === undefined ? undefined : parseFacts(found.text)
  return found === undefined || facts === undefined ? undefined : toRemoteTree(store, source, found, facts)
}

function parseFacts(text: string): TreeFacts | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || !('commit' in value) || !('timeSeconds' in value))
    return undefined
  const { commit, timeSeconds } = value
  return typeof commit === 'string' && typeof timeSeconds === 'number' ? { commit, timeSeconds } : undefined
}

/** A committed tree as it is handed out. */
export function toRemoteTree(
  store: TreeStore,
  source: GitSource,
  { path }: FetchedSource,
  { commit, timeSeconds }: TreeFacts,
): RemoteTree {
  const fingerprints = store.cacheFile('fingerprints', path)
  return {
    tree: { kind: 'directory', path, ignore: [], fingerprints, checkoutUmask: null },
    shown: shownAs(source),
    pinned: commit,
    sourceDate: timeSeconds,
  }
}

function shownAs({ remote, ref, subdir }: GitSource): string {
  const directory = subdir === '' ? '' : `:${subdir}`
  return ref === '' && subdir === '' ? remote : `${remote}#${ref}${directory}`
}

/**
 * Compares what was found with the checksum of the source; a tag may have its own id or that of its commit.
 *
 * @throws {UserError} `ERR_DIGEST_MISMATCH`
 */
export function assertChecksum(source: GitSource, ids: readonly (string | undefined)[]): void {
  const { checksum } = source
  if (checksum === undefined || ids.some((id) => id?.startsWith(checksum))) return
  const found = [...new Set(ids)].filter((id) => id !== undefined).join(' or ')
  throw new UserError(
    'ERR_DIGEST_MISMATCH',
    `Cannot use ${JSON.stringify(shownAs(source))}: expected commit ${checksum}, found ${found}`,
    { hints: ['To get one commit whatever its branch is by now, give it as the ref: `#<commit>`.'] },
  )
}
