import { randomUUID } from 'node:crypto'
import { realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import type { BuildResult } from '@tsbuild/builder'
import { EnvironmentError } from '@tsbuild/errors'

/** Docker's image id: the digest of the config; undefined where no image was made. */
export function imageId(result: BuildResult): string | undefined {
  return result.configDigest ?? result.image?.digest
}

/**
 * The text of `--metadata-file`: JSON with the keys of buildx, sorted, as far as they apply.
 *
 * @see https://docs.docker.com/reference/cli/docker/buildx/build/#metadata-file
 */
export function metadataJson(result: BuildResult): string {
  const { image, configDigest, tags } = result
  const metadata = {
    'buildx.build.ref': result.ref,
    ...(configDigest === undefined ? {} : { 'containerimage.config.digest': configDigest }),
    ...(image === undefined
      ? {}
      : { 'containerimage.descriptor': image, 'containerimage.digest': image.digest }),
    ...(tags.length === 0 ? {} : { 'image.name': tags.join(',') }),
  }
  return `${JSON.stringify(metadata, undefined, 2)}\n`
}

/**
 * Writes a result file: a reader sees the old file or the whole new one. What is no plain file (`/dev/stdout`, a pipe) is
 * written to as it is.
 *
 * @throws {EnvironmentError} `ERR_OUTPUT` if it cannot be written
 */
export async function writeResultFile(path: string, text: string): Promise<void> {
  try {
    const place = await placeOf(path)
    if (place.kind === 'special') return await writeFile(path, text)
    const draft = `${place.path}.${randomUUID().slice(0, 8)}.tmp`
    await writeFile(draft, text, { flag: 'wx' })
    await rename(draft, place.path)
  } catch (cause) {
    throw new EnvironmentError('ERR_OUTPUT', `Cannot write file "${path}"`, { cause })
  }
}

/**
 * Removes what an earlier build left, so that a failing one is not taken for it.
 *
 * @throws {EnvironmentError} `ERR_OUTPUT` if it is there and cannot be removed
 */
export async function removeResultFile(path: string): Promise<void> {
  try {
    const place = await placeOf(path)
    if (place.kind === 'file') await rm(place.path, { force: true })
  } catch (cause) {
    throw new EnvironmentError('ERR_OUTPUT', `Cannot remove file "${path}"`, { cause })
  }
}

/** Where a path leads; a link to a file stays a link. */
async function placeOf(path: string): Promise<{ readonly kind: 'file' | 'special'; readonly path: string }> {
  try {
    const end = await realpath(path)
    return { kind: (await stat(end)).isFile() ? 'file' : 'special', path: end }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { kind: 'file', path }
    throw error
  }
}
