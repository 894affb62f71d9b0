import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import {
  archiveName,
  type BuildContext,
  type FetchOptions,
  inspectFile,
  openArchiveContext,
  openEmptyContext,
  openTreeContext,
  type Received,
  type RemoteTree,
} from '@tsbuild/context'
import type { GitUrl } from '@tsbuild/dockerfile'
import { InternalError, redact } from '@tsbuild/errors'
import type { GitOp } from '@tsbuild/graph'
import type { InternalVertices } from '../internal-vertex.ts'
import type { Remote } from '../remote.ts'
import type { BuildRun } from '../run-build.ts'

/** What contexts that are no directories are opened with. */
export interface ContextTools {
  readonly run: BuildRun
  readonly internal: InternalVertices
  readonly remote: Remote
}

/** A Dockerfile that came in the place of a context. */
export interface LoneDockerfile {
  readonly context: BuildContext
  readonly text: string
}

/** Checks a repository out and opens it. */
export async function openGitContext(tools: ContextTools, url: GitUrl): Promise<BuildContext> {
  const source = gitSource(url, tools.run.options.buildArgs ?? {})
  if (url.credentials !== undefined) tools.remote.noteCredentials(url.remote, url.credentials)
  return await fetching(tools, `[internal] load git source ${source.remote}`, async (options) =>
    openTreeContext(await tools.remote.forContexts.git(source, options), tools.run.machine),
  )
}

/** Fetches a file and opens it as a directory with this file, under a name that is no part of the URL. */
export async function openFileContext(
  tools: ContextTools,
  url: string,
  filename: string,
): Promise<BuildContext> {
  return await fetching(tools, `[internal] load ${shownUrl(url)}`, async (options) => {
    const fetched = await tools.remote.forContexts.http({ url, filename, checksum: undefined }, options)
    return openTreeContext(fetched, tools.run.machine)
  })
}

/** Fetches what a URL in the place of the context gives: an archive, or else a Dockerfile. */
export async function openUrlContext(
  tools: ContextTools,
  url: string,
): Promise<BuildContext | LoneDockerfile> {
  return await fetching(tools, `[internal] load remote build context ${shownUrl(url)}`, async (options) => {
    const fetched = await tools.remote.forContexts.http(
      { url, filename: archiveName, checksum: undefined },
      options,
    )
    const received = await inspectFile(pathOf(fetched), fetched.shown)
    return await openReceived(tools, received, fetched)
  })
}

/** Opens what came: an archive as the context it holds, a Dockerfile beside an empty one. */
export async function openReceived(
  tools: ContextTools,
  received: Received,
  { tree, shown, sourceDate }: Pick<RemoteTree, 'tree' | 'shown' | 'sourceDate'>,
): Promise<BuildContext | LoneDockerfile> {
  const { machine, signal } = tools.run
  const directory = await scratchDirectory(tools)
  if (received.kind === 'dockerfile')
    return { context: openEmptyContext(directory, machine, sourceDate), text: received.text }
  const onWarning = (message: string) =>
    tools.internal.warn({ rule: 'ContextContent', message, source: null })
  return await openArchiveContext({ ...machine, tree, shown, directory, signal, onWarning })
}

/** For messages: what a query says may be what lets its bearer in. */
function shownUrl(url: string): string {
  return redact(url).replace(/\?.*$/s, '?…')
}

/** An empty directory that goes when the session ends. */
export async function scratchDirectory({ run }: ContextTools): Promise<string> {
  return await mkdtemp(join(await run.machine.store.sources.scratch(), 'context-'))
}

/** Runs `body` as a vertex that shows what came so far. */
async function fetching<T>(
  { run, internal }: ContextTools,
  name: string,
  body: (options: FetchOptions) => Promise<T>,
): Promise<T> {
  const { events, machine, signal } = run
  return await internal.run(name, async (vertex) => {
    let last: readonly [currentBytes: number, totalBytes: number | null] | undefined
    const send = (done: boolean) => {
      if (last === undefined) return
      const [currentBytes, totalBytes] = last
      const status = { id: 'transferring context', currentBytes, totalBytes, done }
      events({ type: 'vertex.status', vertex, ...status, at: machine.now() })
    }
    const onProgress = (received: number, total: number | undefined) => {
      last = [received, total ?? null]
      send(false)
    }
    const result = await body({ signal, onProgress })
    send(true)
    return result
  })
}

/** What a URL leaves open, the build arguments say, and then the defaults. @see spec/dockerfile.md 1.4, 1.7 */
function gitSource(url: GitUrl, buildArgs: Readonly<Record<string, string>>): Omit<GitOp, 'kind'> {
  const { remote, ref, subdir, checksum } = url
  const keeps = /^(?:1|t|true)$/i.test(buildArgs.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? '')
  const byCommit = buildArgs.SOURCE_DATE_EPOCH === 'context'
  return {
    remote,
    ref,
    subdir,
    checksum,
    keepGitDir: url.keepGitDir ?? keeps,
    submodules: url.submodules ?? true,
    mtime: url.mtime ?? (byCommit ? 'commit' : 'checkout'),
  }
}

function pathOf({ tree }: RemoteTree): string {
  if (tree.kind === 'directory') return join(tree.path, archiveName)
  throw new InternalError('ERR_INTERNAL', 'a fetched file is in no directory')
}
