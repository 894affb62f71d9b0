import {
  assertDirectory,
  type BuildContext,
  type DockerfileText,
  openDirectoryContext,
} from '@tsbuild/context'
import { InternalError, UserError } from '@tsbuild/errors'
import type { NamedContext } from '@tsbuild/frontend'
import { type ContextSource, namedContextSource } from './context-source.ts'
import { type ContextTools, openFileContext, openGitContext } from './fetch-context.ts'
import type { MainContext } from './main-context.ts'

/** The name of the file that the URL of a named context becomes. */
const fileName = 'context'

/** The contexts of one build. */
export interface BuildContexts {
  /** What stands behind each name of `--build-context`. */
  readonly named: ReadonlyMap<string, NamedContext>
  /** Opens the build context, `context`, or a named one; each once, and only those that are asked for. */
  readonly open: (name: string) => Promise<BuildContext>
}

/**
 * Reads what `--build-context` says. Directories must be there; nothing is read or fetched before it is asked for.
 *
 * @throws {UserError} `ERR_USAGE`, `ERR_UNSUPPORTED`, `ERR_URL_INVALID`, `ERR_CONTEXT_NOT_FOUND`
 * @see spec/dockerfile.md 1.7
 */
export function createContexts(tools: ContextTools, main: MainContext): BuildContexts {
  const { buildContexts = {}, cwd } = tools.run.options
  const sources = new Map(
    Object.entries(buildContexts).map(([name, text]) => [name, namedContextSource(name, text, cwd)]),
  )
  for (const [name, source] of sources)
    if (source.kind === 'directory') assertDirectory(source.path, `--build-context "${name}"`)
  const opened = new Map<string, Promise<BuildContext>>()
  const named = [...sources].map(([name, source]): [string, NamedContext] => [name, asNamed(source)])
  return {
    named: new Map(named),
    open(name) {
      const source = sources.get(name)
      if (source === undefined && name === 'context') return Promise.resolve(main.context)
      if (source === undefined) throw new InternalError('ERR_INTERNAL', `there is no context "${name}"`)
      const known = opened.get(name) ?? openNamed(tools, name, source, main.file)
      opened.set(name, known)
      return known
    },
  }
}

function asNamed(source: ContextSource): NamedContext {
  return source.kind === 'image' ? source : { kind: 'files' }
}

async function openNamed(
  tools: ContextTools,
  name: string,
  source: ContextSource,
  { umask }: Pick<DockerfileText, 'umask'>,
): Promise<BuildContext> {
  const { machine, options } = tools.run
  switch (source.kind) {
    case 'directory':
      return await openDirectoryContext({
        path: source.path,
        dockerfilePath: undefined,
        umask,
        cwd: options.cwd,
        native: machine.native,
        store: machine.store,
      })
    case 'git':
      return await openGitContext(tools, source.url)
    case 'http':
      return await openFileContext(tools, source.url, fileName)
    case 'stdin':
    case 'image':
      throw new UserError(
        'ERR_UNSUPPORTED',
        `Cannot read files of the named context "${name}": it is an image`,
      )
  }
}
