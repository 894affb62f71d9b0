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

/** A file that a build fills when it ends well. */
export interface ResultFile {
  /**
   * Writes the file: a reader sees nothing or the whole text.
   *
   * @throws {EnvironmentError} `ERR_OUTPUT` if it cannot be written
   */
  write(text: string): Promise<void>
}

/**
 * Prepares a result file: removes what an earlier build left, so that a failing one is not taken for it. A link stays a
 * link; what is no plain file (`/dev/stdout`, a pipe) stays and is written to as it is.
 *
 * @param path absolute
 * @throws {EnvironmentError} `ERR_OUTPUT` if the old file cannot be removed
 */
export async function openResultFile(path: string): Promise<ResultFile> {
  const place = await attempt(`Cannot remove file "${path}"`, async () => {
    const found = await placeOf(path)
    if (found.kind === 'file') await rm(found.path, { force: true })
    return found
  })
  return {
    write: (text) =>
      attempt(`Cannot write file "${path}"`, async () => {
        if (place.kind === 'special') return await writeFile(place.path, text)
        const draft = `${place.path}.${process.pid}.tmp`
        await writeFile(draft, text, { flag: 'wx' })
        await rename(draft, place.path)
      }),
  }
}

async function attempt<Value>(message: string, action: () => Promise<Value>): Promise<Value> {
  try {
    return await action()
  } catch (cause) {
    throw new EnvironmentError('ERR_OUTPUT', message, { cause })
  }
}

async function placeOf(path: string): Promise<{ readonly kind: 'file' | 'special'; readonly path: string }> {
  try {
    const end = await realpath(path)
    return (await stat(end)).isFile() ? { kind: 'file', path: end } : { kind: 'special', path }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { kind: 'file', path }
    throw error
  }
}
