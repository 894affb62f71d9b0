import { stat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { decodeText } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { Native } from '@tsbuild/native'
import type { BuildContext } from './build-context.ts'
import { umaskOf } from './checkout-umask.ts'
import { type Inside, openInside } from './open-inside.ts'

/** A Dockerfile as found. */
export interface DockerfileText {
  /** Absolute; undefined where it is no file of the machine. */
  readonly path: string | undefined
  /** As shown to the user: relative to the working directory where it is below it. */
  readonly shown: string
  readonly text: string
  /** Under which the file was made, as its mode says; undefined where it does not, and of no file of the machine. */
  readonly umask?: number | undefined
}

/** A Dockerfile larger than this is refused. */
export const maxDockerfileBytes = 16 * 2 ** 20

/**
 * Reads the Dockerfile of a build: `file` relative to `cwd`, or else `Dockerfile`, then `dockerfile`, in the context. What is
 * below the context is its author's, so symlinks there are followed inside of it only: a message would show what they lead to.
 *
 * @throws {UserError} `ERR_DOCKERFILE_NOT_FOUND` naming every place that was tried; `ERR_CONTEXT_UNREADABLE`
 * @see spec/dockerfile.md 1.7
 */
export async function readDockerfile(
  context: string,
  file: string | undefined,
  cwd: string,
): Promise<DockerfileText> {
  const places =
    file === undefined ? [join(context, 'Dockerfile'), join(context, 'dockerfile')] : [resolve(cwd, file)]
  for (const path of places) {
    const found = await readRegular(path, context, 'ERR_DOCKERFILE_NOT_FOUND')
    if (found !== undefined)
      return { path, shown: shownPath(path, cwd), text: found.text, umask: umaskOf(found.mode) }
  }
  const tried = places.map((place) => `"${place}"`).join(' and no ')
  throw new UserError('ERR_DOCKERFILE_NOT_FOUND', `Cannot find a Dockerfile: there is no ${tried}`, {
    hints: await placeHints(context, file, cwd),
  })
}

/** `--file` is relative to the working directory, and many take it for relative to the context. */
async function placeHints(
  context: string,
  file: string | undefined,
  cwd: string,
): Promise<readonly string[]> {
  if (file === undefined)
    return ['Name the file with --file, or give the directory that holds it as the context.']
  const within = resolve(context, file)
  const found = await stat(within).catch(() => undefined)
  if (found?.isFile() !== true) return []
  return [`--file is relative to the working directory: \`--file ${shownPath(within, cwd)}\`.`]
}

/**
 * Reads the Dockerfile of a build from files that were given or fetched: `file` relative to their root, or else
 * `Dockerfile`, then `dockerfile`. The tree is untrusted: symlinks are followed inside of it only.
 *
 * @throws {UserError} `ERR_DOCKERFILE_NOT_FOUND` naming every place that was tried; `ERR_SIZE_MISMATCH`
 * @see spec/dockerfile.md 1.7
 */
export async function readDockerfileOf(
  { tree, shown }: Pick<BuildContext, 'tree' | 'shown'>,
  file: string | undefined,
  { native, signal }: { readonly native: Native; readonly signal: AbortSignal },
): Promise<DockerfileText> {
  const names = file === undefined ? ['Dockerfile', 'dockerfile'] : [file]
  const files = await native.read(tree, names, { maxBytes: maxDockerfileBytes, signal })
  for (const [index, bytes] of files.entries()) {
    const name = names[index] ?? ''
    if (bytes !== null) return { path: undefined, shown: name, text: decodeText(bytes) }
  }
  const tried = names.map((name) => `"${name}"`).join(' and no ')
  throw new UserError(
    'ERR_DOCKERFILE_NOT_FOUND',
    `Cannot find a Dockerfile: there is no ${tried} in ${shown}`,
    {
      hints: file === undefined ? ['Name the file with --file, relative to the root of the context.'] : [],
    },
  )
}

/**
 * Reads the ignore file that applies: `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore` of the
 * context. They are never merged. Symlinks below the context are followed inside of it only.
 *
 * @throws {UserError} `ERR_CONTEXT_UNREADABLE`
 * @see spec/dockerfile.md 1.7
 */
export async function readIgnoreFile(
  context: string,
  dockerfilePath: string | undefined,
  cwd: string,
): Promise<{ readonly shown: string; readonly text: string } | undefined> {
  const own = dockerfilePath === undefined ? [] : [`${dockerfilePath}.dockerignore`]
  for (const path of [...own, join(context, '.dockerignore')]) {
    const found = await readRegular(path, context, 'ERR_CONTEXT_UNREADABLE')
    if (found !== undefined) return { shown: shownPath(path, cwd), text: found.text }
  }
  return undefined
}

/** A file that the user named somewhere else is the user's, and so are the links beside it and above. */
function rootOf(path: string, context: string): string {
  const inside = relative(context, path)
  return inside === '..' || inside.startsWith('../') ? '/' : context
}

async function readRegular(
  path: string,
  context: string,
  otherFile: 'ERR_DOCKERFILE_NOT_FOUND' | 'ERR_CONTEXT_UNREADABLE',
): Promise<{ readonly text: string; readonly mode: number } | undefined> {
  const found = await openIfThere(rootOf(path, context), path)
  if (found === undefined) return undefined
  if (found.kind === 'outside') {
    const why = `it is a symlink that leads out of the context "${context}"`
    const hints = ['Put the file itself there, or name the one it leads to with --file.']
    throw new UserError('ERR_CONTEXT_UNREADABLE', `Cannot read "${path}": ${why}`, {
      hints: otherFile === 'ERR_DOCKERFILE_NOT_FOUND' ? hints : [],
    })
  }
  if (found.kind === 'other') throw new UserError(otherFile, `Cannot read "${path}": it is no regular file`)
  const { file, sizeBytes, mode } = found
  try {
    if (sizeBytes > maxDockerfileBytes) {
      throw new UserError(
        'ERR_DOCKERFILE_SYNTAX',
        `Cannot read "${path}": it has ${sizeBytes} bytes, at most ${maxDockerfileBytes} are read`,
      )
    }
    return { text: decodeText(await file.readFile()), mode }
  } finally {
    await file.close()
  }
}

async function openIfThere(root: string, path: string): Promise<Inside | undefined> {
  try {
    return await openInside(root, path)
  } catch (cause) {
    if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ENOTDIR')) return undefined
    // A socket cannot be opened at all.
    if (isErrno(cause, 'ENXIO')) return { kind: 'other' }
    const why = isErrno(cause, 'EACCES')
      ? 'permission denied'
      : isErrno(cause, 'ELOOP')
        ? 'its symlinks form a loop'
        : undefined
    if (why === undefined) throw cause
    throw new UserError('ERR_CONTEXT_UNREADABLE', `Cannot read "${path}": ${why}`, { cause })
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function shownPath(path: string, cwd: string): string {
  const short = relative(cwd, path)
  return short === '..' || short.startsWith('../') ? path : short
}
