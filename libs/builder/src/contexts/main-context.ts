import { existsSync } from 'node:fs'
import {
  assertDirectory,
  type BuildContext,
  type DockerfileText,
  openDirectoryContext,
  type Received,
  readDockerfile,
  readDockerfileOf,
  receiveContext,
} from '@tsbuild/context'
import { redact, UserError } from '@tsbuild/errors'
import { fileNameOf, isHttpUrl, mainContextSource } from './context-source.ts'
import {
  type ContextTools,
  type LoneDockerfile,
  openFileContext,
  openGitContext,
  openReceived,
  openUrlContext,
  scratchDirectory,
} from './fetch-context.ts'

/** The files of a build, and the Dockerfile, wherever it came from. */
export interface MainContext {
  readonly file: DockerfileText
  readonly context: BuildContext
}

/**
 * Loads the Dockerfile and opens the build context: a directory, standard input, a repository or a URL.
 *
 * @throws {UserError} `ERR_USAGE` where standard input is to be two things, or the Dockerfile is named and given;
 *   `ERR_DOCKERFILE_NOT_FOUND`, `ERR_CONTEXT_NOT_FOUND`, `ERR_IGNORE_SYNTAX`; what fetching throws
 * @see spec/dockerfile.md 1.7
 */
export async function loadMainContext(tools: ContextTools): Promise<MainContext> {
  const { options } = tools.run
  const source = mainContextSource(options.context, options.cwd)
  switch (source.kind) {
    case 'directory':
      return await loadDirectory(tools, source.path)
    case 'git':
      return await withDockerfile(tools, await openGitContext(tools, source.url))
    case 'http':
      return await withDockerfile(tools, await openUrlContext(tools, source.url))
    case 'stdin':
      return await withDockerfile(tools, await openStdinContext(tools))
    case 'image':
      throw new UserError(
        'ERR_UNSUPPORTED',
        `Cannot use the build context "${options.context}": it is an image`,
      )
  }
}

async function loadDirectory(tools: ContextTools, path: string): Promise<MainContext> {
  const { machine, options } = tools.run
  const { dockerfile, cwd } = options
  const file = await loadText(tools, async () => {
    refuseScheme(options.context, path)
    assertDirectory(path)
    return (await givenElsewhere(tools)) ?? (await readDockerfile(path, dockerfile, cwd))
  })
  const { native, store } = machine
  const context = await tools.internal.run('[internal] load .dockerignore', () =>
    openDirectoryContext({ path, dockerfilePath: file.path, umask: file.umask, cwd, native, store }),
  )
  return { file, context }
}

/** The Dockerfile of a context that was given or fetched: the one that came alone, or the one in it. */
async function withDockerfile(
  tools: ContextTools,
  opened: BuildContext | LoneDockerfile,
): Promise<MainContext> {
  const { machine, options, signal } = tools.run
  const { dockerfile } = options
  if (!('text' in opened)) {
    const { native } = machine
    const file = await loadText(
      tools,
      async () => (await givenElsewhere(tools)) ?? readDockerfileOf(opened, dockerfile, { native, signal }),
    )
    return { file, context: opened }
  }
  if (dockerfile !== undefined) {
    const from = options.context === '-' ? 'standard input' : `"${options.context}"`
    const message = `Cannot build with the Dockerfile "${dockerfile}": ${from} is a Dockerfile too, and no archive`
    throw new UserError('ERR_USAGE', message)
  }
  return { file: { path: undefined, shown: 'Dockerfile', text: opened.text }, context: opened.context }
}

function loadText(tools: ContextTools, body: () => Promise<DockerfileText>): Promise<DockerfileText> {
  const name = tools.run.options.dockerfile ?? 'Dockerfile'
  const shown = isHttpUrl(name) ? fileNameOf(name) : name
  return tools.internal.run(`[internal] load build definition from ${shown}`, body)
}

/** A Dockerfile of standard input or of a URL; undefined for one that is a path. */
async function givenElsewhere(tools: ContextTools): Promise<DockerfileText | undefined> {
  const { dockerfile } = tools.run.options
  if (dockerfile === '-') return await dockerfileOfStdin(tools)
  if (dockerfile === undefined || !isHttpUrl(dockerfile)) return undefined
  const { machine, signal } = tools.run
  const fetched = await openFileContext(tools, dockerfile, 'Dockerfile')
  return await readDockerfileOf(fetched, undefined, { native: machine.native, signal })
}

async function dockerfileOfStdin(tools: ContextTools): Promise<DockerfileText> {
  const { signal } = tools.run
  const shown = 'standard input'
  const received = await receiveContext(stdinOf(tools), await scratchDirectory(tools), { shown, signal })
  if (received.kind === 'dockerfile') {
    refuseEmpty(received, 'the Dockerfile')
    return { path: undefined, shown: 'Dockerfile', text: received.text }
  }
  throw new UserError('ERR_USAGE', 'Cannot read the Dockerfile from standard input: it is an archive', {
    hints: ['Give `-` as the context to build from an archive.'],
  })
}

async function openStdinContext(tools: ContextTools): Promise<BuildContext | LoneDockerfile> {
  const { options, signal } = tools.run
  if (options.dockerfile === '-')
    throw new UserError('ERR_USAGE', 'Cannot read both the context and the Dockerfile from standard input')
  const shown = 'standard input'
  return await tools.internal.run('[internal] load build context from standard input', async () => {
    const path = await scratchDirectory(tools)
    const received = await receiveContext(stdinOf(tools), path, { shown, signal })
    refuseEmpty(received, 'the build context')
    const tree = { kind: 'directory', path, ignore: [], fingerprints: null, checkoutUmask: null } as const
    return await openReceived(tools, received, { tree, shown, sourceDate: undefined })
  })
}

/** A mistyped URL is looked for as a path, and the path says little. */
function refuseScheme(context: string, path: string): void {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(context) ?? []
  if (scheme === undefined || existsSync(path)) return
  const message = `Cannot use the build context "${redact(context)}": no context is fetched by "${scheme}"`
  throw new UserError('ERR_URL_INVALID', message, {
    hints:
      scheme === 'docker-image' || scheme === 'oci-layout'
        ? [`An image can be a named context: \`--build-context name=${scheme}://…\`.`]
        : ['A URL begins with https, http, git or ssh.'],
  })
}

/** What came before it in the pipe has most likely failed. */
function refuseEmpty(received: Received, what: string): void {
  if (received.kind !== 'dockerfile' || received.text !== '') return
  throw new UserError('ERR_DOCKERFILE_EMPTY', `Cannot read ${what} from standard input: it is empty`)
}

function stdinOf({ run }: ContextTools) {
  const { stdin } = run.options
  if (stdin !== undefined) return stdin
  throw new UserError('ERR_USAGE', 'Cannot read from standard input: the build was given none')
}
