import type { Store } from '@tsbuild/store'
import { temporaryDirectory, temporaryStore } from '@tsbuild/store/testing'
import { createGitSources, type GitSourcesOptions, type RemoteSources, type RemoteTree } from '../index.ts'
import { type GitServer, type GitServerOptions, serveRepositories } from './git-server.ts'
import { createRepository, type TestRepository } from './repository.ts'

type Source = Parameters<RemoteSources['git']>[0]

/** A tree and where it is. */
export type FetchedTree = RemoteTree & { readonly path: string }

/** A server with repositories, and a store that they are fetched into. */
export interface GitFixture {
  /** Where the repositories are. */
  readonly root: string
  readonly server: GitServer
  readonly store: Store
  readonly sources: Pick<RemoteSources, 'git'>
  repository(name: string, format?: 'sha1' | 'sha256'): TestRepository
  /** The URL of a repository. */
  remote(name: string): string
  /** Fetches the repository `r`, unless told otherwise. */
  fetch(source?: Partial<Source>, signal?: AbortSignal): Promise<FetchedTree>
}

/** How a fixture differs from the plain one. */
export interface GitFixtureOptions extends GitServerOptions {
  readonly sources?: Partial<GitSourcesOptions>
}

/** When the fixture's clock stands still, Unix seconds. */
export const fixtureSeconds = 1_700_000_000

/** Makes a fixture that goes when the test ends. */
export async function openGitFixture(options: GitFixtureOptions = {}): Promise<GitFixture> {
  const root = temporaryDirectory('git-')
  const server = await serveRepositories(root, options)
  const store = await temporaryStore()
  const sources = createGitSources({
    store,
    secrets: async () => undefined,
    now: () => fixtureSeconds * 1000,
    env: { PATH: process.env.PATH },
    ...options.sources,
  })
  const plain: Source = {
    remote: `${server.origin}/r.git`,
    ref: '',
    subdir: '',
    checksum: undefined,
    keepGitDir: false,
    submodules: true,
    mtime: 'checkout',
  }
  return {
    root,
    server,
    store,
    sources,
    repository: (name, format) => createRepository(root, name, format),
    remote: (name) => `${server.origin}/${name}.git`,
    async fetch(source, signal = new AbortController().signal) {
      const tree = await sources.git({ ...plain, ...source }, { signal })
      if (tree.tree.kind !== 'directory') throw new Error('expected a directory')
      return { ...tree, path: tree.tree.path }
    },
  }
}
