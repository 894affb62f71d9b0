import { lstat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import type { FileAction, Selection, Tree } from '@tsbuild/native'
import type { Filesystem } from '@tsbuild/snapshot'
import { makeDirectories } from '@tsbuild/store'
import { refuseConflicts } from './file-conflicts.ts'
import { mirrorDirectory } from './mirror-directory.ts'
import type { ExportContext, ExporterOptions } from './types.ts'
import { outputError, replaceFile, writeOutput } from './write-output.ts'

/** The files of one platform, and where they stand in a result. */
export interface PlatformFiles {
  /** For people: `linux/amd64`. */
  readonly platform: string
  readonly filesystem: Filesystem
  /** The name of a directory of the result; undefined is the result itself. */
  readonly directory: string | undefined
  /** What stands beside them and is in no layer: what is said about the build. */
  readonly extras: readonly ExtraFile[]
}

/** A file that only its owner may read. */
export interface ExtraFile {
  /** Without a directory. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** See {@link exportDirectory}. */
export interface DirectoryOptions {
  /** `delete`: what is there and not in the result is removed. */
  readonly mode?: 'copy' | 'delete' | undefined
  /** Unix seconds: of what is in no layer. Default now. */
  readonly mtime?: number | undefined
}

/**
 * Writes files to a directory: made if missing, files of the same name are replaced, others stay unless the mode says otherwise.
 * No symlink below it is followed.
 *
 * @throws {UserError} `ERR_USAGE` for platforms in one directory whose files differ
 * @throws {EnvironmentError} `ERR_OUTPUT`, and what the helper says
 */
export async function exportDirectory(
  options: ExporterOptions,
  parts: readonly PlatformFiles[],
  dest: string,
  context: ExportContext,
  directory: DirectoryOptions = {},
): Promise<void> {
  await refuseConflicts(options, parts, context)
  try {
    const write = (place: string) => writeParts(options, parts, place, { ...context, ...directory })
    if (directory.mode === 'delete') await mirrorDirectory(dest, write)
    else await write(dest)
  } catch (error) {
    throw directoryError(dest, error)
  }
}

async function writeParts(
  { snapshotter, native }: ExporterOptions,
  parts: readonly PlatformFiles[],
  dest: string,
  { signal, mtime }: ExportContext & DirectoryOptions,
): Promise<void> {
  // One after the other: they may be for one directory, and each is bound by the disk.
  for (const { filesystem, directory, extras } of parts) {
    const place = directory === undefined ? dest : join(dest, directory)
    if (directory !== undefined) await clearWay(dest, place)
    await native.exportDirectory(await snapshotter.view(filesystem, signal), place, { signal })
    for (const { name, bytes } of extras) {
      await replaceFile(join(place, name), bytes, 0o600)
      if (mtime !== undefined) await utimes(join(place, name), mtime, mtime)
    }
  }
}

/** An earlier result may have left a symlink where the directory of a platform belongs: nobody may be led out by it. */
async function clearWay(dest: string, place: string): Promise<void> {
  await makeDirectories(dest)
  const stats = await lstat(place).catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (stats !== undefined && !stats.isDirectory()) await unlink(place)
}

/** The helper names the call that failed, and not what it was for. */
function directoryError(dest: string, error: unknown): unknown {
  if (!isBuildError(error)) return outputError(dest, error)
  if (error.kind !== 'environment' || error.code === 'ERR_OUTPUT') return error
  return new EnvironmentError(error.code, `Cannot write to the directory "${dest}"`, { cause: error })
}

/** See {@link exportTar}. */
export interface TarOptions {
  /** Unix seconds: of what is in no layer. */
  readonly mtime: number
}

/**
 * Writes files as tar to a file or stream. The same files give the same bytes.
 *
 * @throws {UserError} `ERR_USAGE` for platforms in one directory whose files differ
 */
export async function exportTar(
  options: ExporterOptions,
  parts: readonly PlatformFiles[],
  dest: string | Writable,
  context: ExportContext,
  tar: TarOptions = { mtime: 0 },
): Promise<void> {
  const { snapshotter, native } = options
  const { signal } = context
  await refuseConflicts(options, parts, context)
  const [only] = parts
  if (parts.length === 1 && only !== undefined && only.directory === undefined && only.extras.length === 0) {
    const root = await snapshotter.view(only.filesystem, signal)
    return await writeOutput(dest, async (out) => void (await native.exportTar(root, out, { signal })))
  }
  // Nothing but the helper sees the owners of the files as they are, so it puts them together.
  const together = await snapshotter.overlay([])
  try {
    const actions = await Promise.all(parts.map((part) => actionsOf(options, part, tar, signal)))
    await native.copy(together.root, actions.flat(), { signal }).outcome
    await writeOutput(dest, async (out) => void (await native.exportTar(together.root, out, { signal })))
  } finally {
    await together.release()
  }
}

const everything: Selection = { sources: ['/'], exclude: [], parents: false, uncounted: [] }

async function actionsOf(
  { snapshotter }: ExporterOptions,
  { filesystem, directory = '', extras }: PlatformFiles,
  { mtime }: TarOptions,
  signal: AbortSignal,
): Promise<readonly FileAction[]> {
  const from: Tree = { kind: 'snapshot', root: await snapshotter.view(filesystem, signal) }
  const place = `/${directory}`
  const copy: FileAction = {
    kind: 'copy',
    from,
    selection: everything,
    dest: `${place}/`,
    chown: null,
    chmod: null,
    expect: null,
    unpack: false,
  }
  const own: FileAction = { kind: 'mkdir', path: place, mode: 0o755, owner: null, mtime }
  return [
    ...(directory === '' ? [] : [own]),
    copy,
    ...extras.map(
      ({ name, bytes }): FileAction => ({
        kind: 'mkfile',
        name,
        dest: `${place}/`,
        data: Buffer.from(bytes).toString('base64'),
        owner: null,
        chmod: '0600',
        mtime,
      }),
    ),
    // The files beside changed the time of the directory: it gets that of the result's own again.
    ...(extras.length === 0 ? [] : [{ ...copy, selection: { ...everything, exclude: ['*'] } }]),
  ]
}
