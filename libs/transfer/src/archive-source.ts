import type { Digest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { type ArchiveEntry, invalidArchive } from '@tsbuild/oci'
import { type ArchiveFile, missingEntry, openArchiveFile } from './archive-file.ts'
import { assertSameImages, openDockerSource, readDockerManifest } from './docker-archive.ts'
import { type LayoutFiles, type LayoutImage, openLayoutSource } from './layout-source.ts'
import { localName } from './store-place.ts'
import type { ImageSource, PlaceOptions } from './types.ts'

/** What an archive is wanted as: `archive` takes either form. */
export interface WantedArchive {
  readonly type: 'oci-archive' | 'docker-archive' | 'archive'
  /** Absolute, or `-`. */
  readonly path: string
  readonly name?: string | undefined
  readonly digest?: Digest | undefined
}

/**
 * Reads an image archive. One that is an OCI layout is read as one, also where it has a `manifest.json` beside it: there the digests
 * are; the two must speak of the same images then.
 *
 * @throws {UserError} `ERR_ARCHIVE_INVALID`, `ERR_MANIFEST_INVALID`
 */
export async function openArchiveSource(wanted: WantedArchive, options: PlaceOptions): Promise<ImageSource> {
  const file = await openArchiveFile(wanted.path, options)
  try {
    const isDocker = file.entries.has('manifest.json')
    const isLayout = file.entries.has('oci-layout') && file.entries.has('index.json')
    if (!isLayout && !(isDocker && wanted.type !== 'oci-archive'))
      throw invalidArchive(
        file.label,
        `it has no ${wanted.type === 'docker-archive' ? 'manifest.json' : wanted.type === 'oci-archive' ? 'oci-layout and index.json' : 'index.json or manifest.json'}`,
      )
    if (wanted.type === 'docker-archive' && !isDocker)
      throw invalidArchive(file.label, 'it has no manifest.json')
    if (!isLayout) return await openDockerSource(file, wanted.name)
    const source = await openLayoutSource(layoutIn(file), imageIn(wanted))
    if (isDocker) await assertSameImages(file.label, await readDockerManifest(file), source)
    return source
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Names of docker are whole ones; a layout may call an image anything. */
function imageIn({ type, name, digest }: WantedArchive): LayoutImage {
  return { name: name !== undefined && type === 'docker-archive' ? localName(name) : name, digest }
}

function layoutIn(file: ArchiveFile): LayoutFiles {
  return {
    label: file.label,
    async read(name) {
      const entry = fileEntry(file, name)
      return entry && (await file.readSmall(name, entry))
    },
    chunks: (name, offset) => entryChunks(file, name, offset),
    has: async (name, size) => fileEntry(file, name)?.size === size,
    close: file.close,
  }
}

async function* entryChunks(file: ArchiveFile, name: string, offset: number): AsyncGenerator<Buffer> {
  const entry = fileEntry(file, name)
  if (entry === undefined) throw missingEntry(file.label, name)
  yield* file.read(entry, offset)
}

/** A link is no blob: what it leads to is for another reader to say. */
function fileEntry(
  { entries, label }: ArchiveFile,
  name: string,
): Extract<ArchiveEntry, { type: 'file' }> | undefined {
  const entry = entries.get(name)
  if (entry?.type !== 'link') return entry
  throw new UserError('ERR_ARCHIVE_INVALID', `Cannot read ${label}: ${name} is a link`)
}
