import {
  createGitSources,
  createHttpSources,
  type FetchOptions,
  type RemoteSources,
  type RemoteTree,
  type SecretSource,
} from '@tsbuild/context'
import type { GitCredentials } from '@tsbuild/dockerfile'
import type { GitOp, HttpOp } from '@tsbuild/graph'
import type { BuildRun } from './run-build.ts'

/** What a build fetches with. */
export interface Remote {
  /** For what the Dockerfile names: with the secrets and the ssh agent of the build, and nothing else that is the user's. */
  readonly forSteps: RemoteSources
  /** For the contexts that the user named: where the build was given no agent, the user's, and what stands in the URL. */
  readonly forContexts: RemoteSources
  /** Keeps the credentials of a context's URL; they are used for this remote, and never shown. */
  readonly noteCredentials: (remote: string, credentials: GitCredentials) => void
}

/** Binds URLs and repositories to one build: its secrets go to no other. */
export function createRemote({ machine, ssh, materials }: BuildRun, secrets: SecretSource): Remote {
  const { store, now, transport } = machine
  const credentials = new Map<string, GitCredentials>()
  const { SSH_AUTH_SOCK: agentOfUser, ...rest } = machine.options.env ?? {}
  const env = { ...rest, SSH_AUTH_SOCK: ssh.forGit }
  const http = createHttpSources({ store, transport, secrets, now })
  const noted = (sources: RemoteSources) => materials?.remote(sources) ?? sources
  return {
    forSteps: noted({ ...http, ...createGitSources({ store, now, secrets, env }) }),
    forContexts: noted({
      ...http,
      ...createGitSources({
        store,
        now,
        secrets,
        env: { ...env, SSH_AUTH_SOCK: ssh.forGit ?? agentOfUser },
        credentials: (remote) => credentials.get(remote),
      }),
    }),
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
