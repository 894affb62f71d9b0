import { UserError } from '@tsbuild/errors'
import type { Selection } from '@tsbuild/native'
import type { PlatformFiles } from './export-files.ts'
import type { ExportContext, ExporterOptions } from './types.ts'

const everything: Selection = { sources: ['/'], exclude: [], parents: false, uncounted: [] }

/**
 * Refuses platforms that would overwrite each other's files in one directory. Directories are merged, and what is the same on
 * both sides is no conflict.
 *
 * @throws {UserError} `ERR_USAGE`
 */
export async function refuseConflicts(
  { snapshotter, native }: ExporterOptions,
  parts: readonly PlatformFiles[],
  { signal }: ExportContext,
): Promise<void> {
  const known = new Map<string, { readonly platform: string; readonly line: string }>()
  const isAlone = (part: PlatformFiles) =>
    parts.every((other) => other === part || other.directory !== part.directory)
  for (const part of parts.filter((each) => !isAlone(each))) {
    const root = await snapshotter.view(part.filesystem, signal)
    const scanned = await native.scan({ kind: 'snapshot', root }, [everything], { manifests: true, signal })
    for (const line of [...scanned.manifests.values()].flatMap((list) => list.toString().split('\n'))) {
      // A line ends with its path. Of directories only the names count.
      const path = line.slice(line.lastIndexOf(' ') + 1)
      if (!path.startsWith('/')) continue
      const counted = /^[di] /.test(line) ? 'directory' : line
      const key = `${part.directory ?? ''}\n${path}`
      const other = known.get(key)
      if (other === undefined) known.set(key, { platform: part.platform, line: counted })
      else if (other.line !== counted) throw conflict(path, other.platform, part.platform)
    }
  }
}

function conflict(path: string, one: string, other: string): UserError {
  return new UserError(
    'ERR_USAGE',
    `Cannot write the files of ${one} and ${other} to one place: both have "${path}", and it is not the same`,
    { hints: ['Leave `platform-split=false` out.'] },
  )
}
