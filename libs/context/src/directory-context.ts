import { statSync } from 'node:fs'
import { parseIgnore } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { Native } from '@tsbuild/native'
import type { Store } from '@tsbuild/store'
import { type BuildContext, createContext } from './build-context.ts'
import { checkoutUmask } from './checkout-umask.ts'
import { type DockerfileText, readIgnoreFile } from './dockerfile-text.ts'

/** See {@link openDirectoryContext}. */
export interface DirectoryContextOptions {
  /** Absolute. */
  readonly path: string
  /** Absolute path of the Dockerfile, for its own ignore file; undefined where it does not concern this directory. */
  readonly dockerfilePath: string | undefined
  /** Under which its Dockerfile was made, see {@link DockerfileText.umask}; undefined where that is not known. */
  readonly umask: number | undefined
  readonly cwd: string
  readonly native: Native
  readonly store: Pick<Store, 'putFileList' | 'cacheFile'>
}

/**
 * Opens a directory as a build context and reads its ignore file. Nothing else of it is read yet.
 *
 * @throws {UserError} `ERR_CONTEXT_NOT_FOUND` if it is no directory; `ERR_IGNORE_SYNTAX`
 */
export async function openDirectoryContext(options: DirectoryContextOptions): Promise<BuildContext> {
  const { path, store } = options
  assertDirectory(path)
  const found = await readIgnoreFile(path, options.dockerfilePath, options.cwd)
  const rules = found === undefined ? [] : parseIgnore(found.text, found.shown)
  const tree = {
    kind: 'directory',
    path,
    ignore: rules.map((rule) => (rule.negated ? `!${rule.pattern}` : rule.pattern)),
    fingerprints: store.cacheFile('fingerprints', path),
    checkoutUmask: checkoutUmask(path, options.umask),
  } as const
  const ignoreFile = { shown: found?.shown ?? '.dockerignore', rules }
  return createContext({ shown: `the build context "${path}"`, tree, ignoreFile }, options)
}

/**
 * @param what how the directory is called: `the build context`
 * @throws {UserError} `ERR_CONTEXT_NOT_FOUND`, `ERR_CONTEXT_UNREADABLE`
 */
export function assertDirectory(path: string, what = 'the build context'): void {
  const state = stateOf(path, what)
  if (state === undefined) return
  const hints =
    state === notDirectory
      ? [
          'Give an archive or a lone Dockerfile on standard input with `-`, and name a Dockerfile with --file.',
        ]
      : []
  throw new UserError('ERR_CONTEXT_NOT_FOUND', `Cannot use ${what} "${path}": ${state}`, { hints })
}

const notDirectory = 'it is no directory'

/** What keeps a path from being a directory, if anything does. */
function stateOf(path: string, what: string): string | undefined {
  try {
    return statSync(path).isDirectory() ? undefined : notDirectory
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such directory'
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UserError('ERR_CONTEXT_UNREADABLE', `Cannot use ${what} "${path}": ${reason}`, {
      cause,
    })
  }
}
