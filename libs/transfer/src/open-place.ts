import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { UserError } from '@tsbuild/errors'
import type { ArchivedImage } from '@tsbuild/oci'
import { openArchiveSource } from './archive-source.ts'
import { openArchiveTarget } from './archive-target.ts'
import { openDirectorySource, openDirectoryTarget } from './directory-layout.ts'
import { formatImagePlace, type ImagePlace } from './place.ts'
import { openRegistrySource, openRegistryTarget } from './registry-place.ts'
import { localName, openStoreSource, openStoreTarget } from './store-place.ts'
import type { ImageSource, ImageTarget, PlaceOptions } from './types.ts'

/**
 * Opens a place for reading. The caller closes it.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`, `ERR_ARCHIVE_INVALID`, `ERR_MANIFEST_INVALID`; what registries and the store throw
 */
export async function openSource(place: ImagePlace, options: PlaceOptions): Promise<ImageSource> {
  switch (place.type) {
    case 'registry':
      return openRegistrySource(place.reference, options)
    case 'store':
      return await openStoreSource(place.name, options)
    case 'oci':
      return await openDirectorySource(resolve(options.cwd, place.path), place)
    default:
      return await openArchiveSource({ ...place, path: absolute(place.path, options) }, options)
  }
}

/**
 * Opens a place for writing. The caller ends it with `commit` or `abort`.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID`, `ERR_ARCHIVE_INVALID`
 * @throws {EnvironmentError} `ERR_OUTPUT`
 */
export async function openTarget(place: ImagePlace, options: PlaceOptions): Promise<ImageTarget> {
  switch (place.type) {
    case 'registry':
      return openRegistryTarget(place.reference, options)
    case 'store':
      return openStoreTarget([localName(place.name)], options)
    case 'oci':
      return await openDirectoryTarget(resolve(options.cwd, place.path), place, options)
    case 'docker-archive':
      return openArchive('docker', place, options, () => ({
        names: place.name === undefined ? [] : [localName(place.name)],
      }))
    case 'archive':
      return openArchive('oci', place, options, () => ({ names: [] }))
    case 'oci-archive':
      if (place.digest !== undefined)
        throw new UserError(
          'ERR_UNSUPPORTED',
          `Cannot write "${formatImagePlace(place)}": a new archive is named by a tag`,
        )
      return openArchive('oci', place, options, () => ({
        names: [],
        refNames: place.name === undefined ? [] : [place.name],
      }))
  }
}

/** An archive at a path, or on standard output. */
export function openArchive(
  format: 'oci' | 'docker',
  { path }: { readonly path: string },
  options: PlaceOptions,
  names: () => Pick<ArchivedImage, 'names' | 'refNames'>,
): ImageTarget {
  const label = path === '-' ? 'standard output' : path
  const write = async (body: (out: Writable) => Promise<void>) => {
    const dest = path === '-' ? options.stdout : absolute(path, options)
    if (dest === undefined)
      throw new UserError('ERR_USAGE', 'Cannot write an archive: there is no standard output')
    await options.writeOutput(dest, body)
  }
  return openArchiveTarget({ format, label, write, names }, options)
}

function absolute(path: string, { cwd }: PlaceOptions): string {
  return path === '-' ? path : resolve(cwd, path)
}
