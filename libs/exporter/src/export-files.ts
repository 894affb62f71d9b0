import type { Writable } from 'node:stream'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import type { Filesystem } from '@tsbuild/snapshot'
import type { ExportContext, ExporterOptions } from './types.ts'
import { outputError, writeOutput } from './write-output.ts'

/** Writes a file system to a directory: made if missing, files of the same name are replaced, others stay. */
export async function exportDirectory(
  { snapshotter, native }: ExporterOptions,
  filesystem: Filesystem,
  dest: string,
  { signal }: ExportContext,
): Promise<void> {
  const root = await snapshotter.view(filesystem, signal)
  try {
    await native.exportDirectory(root, dest, { signal })
  } catch (error) {
    throw directoryError(dest, error)
  }
}

/** The helper names the call that failed, and not what it was for. */
function directoryError(dest: string, error: unknown): unknown {
  if (!isBuildError(error) || error.kind !== 'environment') return outputError(dest, error)
  return new EnvironmentError(error.code, `Cannot write to the directory "${dest}"`, { cause: error })
}

/** Writes a file system as tar to a file or stream. */
export async function exportTar(
  { snapshotter, native }: ExporterOptions,
  filesystem: Filesystem,
  dest: string | Writable,
  { signal }: ExportContext,
): Promise<void> {
  const root = await snapshotter.view(filesystem, signal)
  await writeOutput(dest, async (out) => void (await native.exportTar(root, out, { signal })))
}
