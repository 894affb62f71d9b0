import type { FetchOptions, RemoteSources, RemoteTree } from '@tsbuild/context'
import type { GitCredentials } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { GitOp, HttpOp } from '@tsbuild/graph'
import type { BuildRun } from './run-build.ts'

/** What a build fetches with. */
export interface Remote {
  readonly remote: RemoteSources
  /** Keeps what stands in the URL of a context; it is used for this remote, and never shown. */
  readonly noteCredentials: (remote: string, credentials: GitCredentials) => void
}

/** Binds URLs and repositories to one build: its secrets go to no other. */
export function createRemote(_run: BuildRun): Remote {
  const credentials = new Map<string, GitCredentials>()
  return {
    remote: {
      http: ({ url }) =>
        Promise.reject(new UserError('ERR_UNSUPPORTED', `Cannot fetch "${url}": not built yet`)),
      git: ({ remote }) =>
        Promise.reject(new UserError('ERR_UNSUPPORTED', `Cannot fetch "${remote}": not built yet`)),
    },
    noteCredentials: (remote, given) => void credentials.set(remote, given),
  }
}

/** Fetches what a vertex names. */
export function fetchRemote(
  remote: RemoteSources,
  source: HttpOp | GitOp,
  options: FetchOptions,
): Promise<RemoteTree> {
  return source.kind === 'git' ? remote.git(source, options) : remote.http(source, options)
}
