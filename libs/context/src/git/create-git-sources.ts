import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isGitRefName, readGitRemote } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { SourceDraft, Store } from '@tsbuild/store'
import type { FetchOptions, RemoteSources, RemoteTree } from '../remote-source.ts'
import { type CheckoutParts, checkOut, withObject } from './check-out.ts'
import { accessTo, type CredentialSources, type RemoteAccess } from './credentials.ts'
import { contentRefused, explain } from './failures.ts'
import { enterDirectory, moveContents, settleTree } from './file-tree.ts'
import { createGit, type Git } from './git.ts'
import { gitEnvironment } from './git-environment.ts'
import {
  assertChecksum,
  type GitSource,
  keepsGitDir,
  knownBefore,
  lookUp,
  sourceLock,
  type TreeFacts,
  toRemoteTree,
  treeName,
} from './known-tree.ts'
import type { WantedObject } from './object-cache.ts'
import { peel, type TreeLimits } from './read-commit.ts'
import { isObjectId, type ResolvedRef, resolveRef } from './resolve-ref.ts'
import { findGit, runGit } from './run-git.ts'

/** What git sources need from outside. */
export interface GitSourcesOptions extends CredentialSources {
  readonly store: Pick<Store, 'sources' | 'locks' | 'cacheFile'>
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  /**
   * `PATH`, where git is looked for; proxies; `SSH_AUTH_SOCK`, if builds may use the agent's keys; `GIT_SSL_CAINFO` and
   * `GIT_SSL_CAPATH`. Everything else is ignored.
   */
  readonly env: Readonly<Record<string, string | undefined>>
  /** How long a remote may be silent; default 5 min. Over http git itself gives up after one. */
  readonly silenceMs?: number | undefined
  readonly limits?: TreeLimits | undefined
}

/** As for layers. */
const defaultLimits: TreeLimits = { maxEntries: 2_000_000, maxBytes: 64 * 2 ** 30 }
const defaultSilenceMs = 300_000

/**
 * Fetches repositories with the program git. Objects are kept for each remote, trees for each commit: a ref that has not
 * moved is not fetched again, and nothing is asked for a whole commit whose tree is known.
 *
 * @see spec/dockerfile.md 3.4, `git URL`; spec/security.md 3.7; docs/reference/contexts.md
 */
export function createGitSources(options: GitSourcesOptions): Pick<RemoteSources, 'git'> {
  let program: Promise<string> | undefined
  const findProgram = async (home: string): Promise<string> => {
    program ??= locateGit({ env: options.env, home })
    try {
      return await program
    } catch (error) {
      program = undefined
      throw error
    }
  }
  return {
    async git(source, fetchOptions) {
      const remote = readGitRemote(source.remote)
      if (typeof remote === 'string') throw invalid(source.remote, remote)
      if (source.ref !== '' && !isGitRefName(source.ref))
        throw invalid(source.remote, `${JSON.stringify(source.ref)} cannot be a branch, tag or commit`)
      const known = knownBefore(options.store, source)
      if (known !== undefined) return known
      const { signal, onProgress } = fetchOptions
      const home = await options.store.sources.scratch()
      try {
        const git = createGit({
          program: await findProgram(home),
          env: options.env,
          home,
          signal,
          silenceMs: options.silenceMs ?? defaultSilenceMs,
          onReceived: summed((bytes) => onProgress?.(bytes, undefined)),
        })
        const access = await accessTo(remote, remote, options)
        return await options.store.locks.withLock(
          sourceLock(source),
          () => fetchTree({ options, source, git, access, home, signal }),
          { signal },
        )
      } finally {
        await rm(home, { recursive: true, force: true })
      }
    },
  }
}

/** Each fetch counts its own bytes; what is told is the sum. */
function summed(tell: (bytes: number) => void): (bytes: number) => void {
  let before = 0
  let last = 0
  return (bytes) => {
    if (bytes < last) before += last
    last = bytes
    tell(before + bytes)
  }
}

/**
 * The path of the git that repositories are fetched with.
 *
 * @param env whose `PATH` is searched
 * @param home a directory that exists
 * @throws {EnvironmentError} `ERR_TOOL_MISSING` if there is none, or none that is new enough
 */
export function locateGit(
  where: Pick<GitSourcesOptions, 'env'> & { readonly home: string },
): Promise<string> {
  return findGit(where.env, (path) => versionOf(path, where.home, where.env))
}

function versionOf(program: string, home: string, env: GitSourcesOptions['env']): Promise<string> {
  const silenceMs = 10_000
  // Whoever else waits for the answer must not be cancelled with the first who asked.
  const { signal } = new AbortController()
  const run = { program, args: ['version'], cwd: home, env: gitEnvironment({ env, home }) }
  return runGit({ ...run, signal, silenceMs, remote: false, secrets: [] })
}

interface Fetch {
  readonly options: GitSourcesOptions
  readonly source: GitSource
  readonly git: Git
  readonly access: RemoteAccess
  readonly home: string
  readonly signal: FetchOptions['signal']
}

async function fetchTree(fetch: Fetch): Promise<RemoteTree> {
  const { options, source } = fetch
  const resolved = await resolve(fetch)
  const { object, commit, name } =
    resolved.commit === undefined ? await fetchUnknown(fetch, resolved.object, resolved.idLength) : resolved
  assertChecksum(source, [resolved.object, object, commit])
  // A kept tag needs its own object; without .git the commit is enough.
  const wanted = { id: keepsGitDir(source) ? object : commit, idLength: commit.length, name }
  return lookUp(options.store, source, commit) ?? checkOutTree(fetch, wanted, commit)
}

/** Fetches what may be a tag, or is only the beginning of a commit, to see which commit it is. */
async function fetchUnknown(fetch: Fetch, found: string | undefined, idLength: number) {
  const { options, source, git, access, signal } = fetch
  const name = undefined
  const wanted = { id: found ?? source.ref, idLength, name }
  const parts = { git, store: options.store, signal }
  return withObject(parts, access, wanted, async (cache, object) => {
    const { commit } = await peel((call) => git({ gitDir: cache.path, ...call }), object)
    return { object, commit, name }
  })
}

async function resolve({ source, git, access }: Fetch): Promise<ResolvedRef> {
  // It may be a tag's own id, so what commit it is will be seen.
  if (isObjectId(source.ref))
    return { object: source.ref, commit: undefined, idLength: source.ref.length, name: undefined }
  try {
    return await resolveRef(git, access, source.ref)
  } catch (error) {
    throw explain(error, access)
  }
}

async function checkOutTree(fetch: Fetch, wanted: WantedObject, commit: string): Promise<RemoteTree> {
  const { options, source } = fetch
  const draft = await options.store.sources.draft()
  let timeSeconds: number
  try {
    timeSeconds = await fill(fetch, wanted, draft)
  } catch (error) {
    await draft.release()
    throw error
  }
  const facts: TreeFacts = { commit, timeSeconds }
  const committed = await draft.commit(treeName(source, commit), JSON.stringify(facts))
  return toRemoteTree(options.store, source, committed, facts)
}

/** Checks out into the draft; with a subdirectory, beside it first. */
async function fill(fetch: Fetch, wanted: WantedObject, draft: SourceDraft): Promise<number> {
  const { options, source, git, access, home, signal } = fetch
  const { subdir } = source
  const { maxEntries, maxBytes } = options.limits ?? defaultLimits
  const workTree = subdir === '' ? draft.path : join(home, 'tree')
  if (subdir !== '') await mkdir(workTree)
  const parts: CheckoutParts = {
    git,
    store: options.store,
    credentials: options,
    root: access.remote,
    scratch: home,
    signal,
    budget: { entries: maxEntries, bytes: maxBytes },
    keepGitDir: keepsGitDir(source),
    submodules: source.submodules,
  }
  const timeSeconds = await checkOut(parts, { access, wanted, workTree, subdir, depth: 0 })
  if (subdir !== '') {
    const found = await enterDirectory(workTree, subdir)
    if (typeof found === 'string')
      throw contentRefused(`the directory ${JSON.stringify(subdir)}`, source.remote, found)
    await moveContents(found.path, draft.path)
  }
  await settleTree(draft.path, source.mtime === 'commit' ? timeSeconds : options.now() / 1000)
  return timeSeconds
}

function invalid(remote: string, why: string): UserError {
  return new UserError('ERR_URL_INVALID', `Cannot fetch the repository ${JSON.stringify(remote)}: ${why}`)
}
