import { lstat, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import type { Root, Tree } from '@tsbuild/native'
import { type BuildContext, type ContextHost, createContext } from './build-context.ts'
import { newestEntry } from './newest-entry.ts'

/** The name that an archive has where it waits to be unpacked; no archive holds a file of this name. */
export const archiveName = '.tsbuild-context-archive'

/** See {@link openArchiveContext}. */
export interface ArchiveContextOptions extends ContextHost {
  /** Where the archive is, under {@link archiveName}. */
  readonly tree: Tree
  /** An empty directory that lives as long as the context. */
  readonly directory: string
  /** What it is, for messages: `standard input`, a URL. */
  readonly shown: string
  readonly signal: AbortSignal
  /** What the helper found odd and went on with. */
  readonly onWarning: (message: string) => void
}

/**
 * Unpacks an archive and makes it a build context. It is untrusted: the helper unpacks it, as it does for ADD, below a root
 * that nothing in it leaves. Owners, modes and times are those of its headers; no ignore rules apply.
 *
 * @throws {UserError} `ERR_ADD_ARCHIVE` if it is malformed, unpacks to too much, or is compressed and no tar
 * @see spec/dockerfile.md 1.7, 3.4
 */
export async function openArchiveContext(options: ArchiveContextOptions): Promise<BuildContext> {
  const { native, directory, shown, signal, onWarning } = options
  const upper = join(directory, 'fs')
  const work = join(directory, 'work')
  await Promise.all([mkdir(upper, { mode: 0o755 }), mkdir(work)])
  const action = {
    kind: 'copy',
    from: options.tree,
    selection: { sources: [archiveName], exclude: [], parents: false, uncounted: [] },
    dest: '/',
    chown: null,
    chmod: null,
    expect: null,
    unpack: true,
  } as const
  await native.copy({ lower: [], upper, work }, [action], { signal, onWarning }).outcome
  if (await isThere(join(upper, archiveName))) {
    const message = `Cannot use the archive from ${shown} as the build context: it is compressed, but not a tar`
    throw new UserError('ERR_ADD_ARCHIVE', message)
  }
  const root: Root = { lower: [upper], upper: null, work: null }
  return createContext(
    {
      shown: `the archive from ${shown}`,
      tree: { kind: 'snapshot', root },
      sourceDate: () => newestEntry(native, root, signal),
    },
    options,
  )
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  )
}
