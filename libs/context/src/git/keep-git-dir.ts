import { join } from 'node:path'
import { isGitRefName } from '@tsbuild/dockerfile'
import type { Git } from './git.ts'
import { markOf } from './open-object-cache.ts'

/** What a kept `.git` shows. */
export interface GitDirectory {
  /** The checked-out files; `.git` is made in it. */
  readonly workTree: string
  /** The bare repository that has the object. */
  readonly cachePath: string
  /** A commit, or an annotated tag. */
  readonly object: string
  readonly commit: string
  /** `refs/heads/main`, where that is known. */
  readonly refName: string | undefined
  /** Without credentials. */
  readonly remote: string
}

/**
 * Makes a `.git` with this one commit: a detached HEAD, the branch or tag that was asked for, an index, and `origin`.
 * Nothing in it comes from the remote but objects.
 */
export async function makeGitDirectory(git: Git, directory: GitDirectory): Promise<void> {
  const { workTree, cachePath, object, commit, refName, remote } = directory
  const format = object.length === 64 ? 'sha256' : 'sha1'
  await git({
    args: ['init', '--quiet', '--template=', `--object-format=${format}`, '--initial-branch=main', workTree],
  })
  const own: Git = (call) => git({ gitDir: join(workTree, '.git'), ...call })
  const kept = refName?.startsWith('refs/') && isGitRefName(refName) ? refName : undefined
  const refSpec = kept === undefined ? markOf(object) : `+${markOf(object)}:${kept}`
  const flags = ['--quiet', '--no-tags', '--no-write-fetch-head', '--depth=1', '--update-head-ok']
  // Copied through a pack: the local short cuts of clone follow symlinks in a repository.
  await own({ args: ['fetch', ...flags, '--', cachePath, refSpec], copies: true })
  await own({ args: ['update-ref', '--no-deref', 'HEAD', commit] })
  await own({ args: ['read-tree', commit] })
  await own({ args: ['config', 'remote.origin.url', remote] })
  await own({ args: ['config', 'remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*'] })
}

/** Notes a submodule that has been checked out, so that git takes it for initialised. */
export async function noteSubmodule(git: Git, workTree: string, name: string, remote: string): Promise<void> {
  const own: Git = (call) => git({ gitDir: join(workTree, '.git'), ...call })
  await own({ args: ['config', `submodule.${name}.active`, 'true'] })
  await own({ args: ['config', `submodule.${name}.url`, remote] })
}
