import { realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { BuildResult } from '@tsbuild/builder'
import { EnvironmentError } from '@tsbuild/errors'

/** Docker's image id: the digest of the config; undefined where no image was made. */
export function imageId(result: BuildResult): string | undefined {
  return result.configDigest ?? result.image?.digest
}

/**
 * The text of `--metadata-file`: JSON with the keys of buildx, sorted, as far as they apply.
 *
 * @param warnings in BuildKit's form, where they are asked for
 * @see https://docs.docker.com/reference/cli/docker/buildx/build/#metadata-file
 */
export function metadataJson(result: BuildResult, warnings?: readonly object[]): string {
  const { image, configDigest, names, provenances = [] } = result
  const provenance = provenances.map(({ platform, predicate }) => {
    const suffix = provenances.length > 1 ? `/${platform}` : ''
    return [`buildx.build.provenance${suffix}`, predicate] as const
  })
  const metadata = {
    ...Object.fromEntries(provenance),
    'buildx.build.ref': result.ref,
    ...(warnings === undefined ? {} : { 'buildx.build.warnings': warnings }),
    ...(configDigest === undefined ? {} : { 'containerimage.config.digest': configDigest }),
    ...(image === undefined
      ? {}
      : { 'containerimage.descriptor': image, 'containerimage.digest': image.digest }),
    ...(names.length === 0 ? {} : { 'image.name': names.join(',') }),
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
 * @throws {EnvironmentError} `ERR_OUTPUT` if it could not be written after the build either: it is a directory, there is no
 *   directory for it, the old file cannot be removed
 */
export async function openResultFile(path: string): Promise<ResultFile> {
  const place = await attempt(path, async () => {
    const found = await placeOf(path)
    if (found.kind === 'file') await rm(found.path, { force: true })
    return found
  })
  return {
    write: (text) =>
      attempt(path, async () => {
        if (place.kind === 'special') return await writeFile(place.path, text)
        const draft = `${place.path}.${process.pid}.tmp`
        await writeFile(draft, text, { flag: 'wx' })
        await rename(draft, place.path)
      }),
  }
}

async function attempt<Value>(path: string, action: () => Promise<Value>): Promise<Value> {
  try {
    return await action()
  } catch (cause) {
    const why = reasons[errnoOf(cause) ?? '']
    const message = `Cannot write file "${path}"`
    if (why === undefined) throw new EnvironmentError('ERR_OUTPUT', message, { cause })
    throw new EnvironmentError('ERR_OUTPUT', `${message}: ${why(path)}`)
  }
}

const reasons: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `there is no directory "${dirname(path)}"`,
  ENOTDIR: () => 'a part of its path is no directory',
  EISDIR: () => 'it is a directory',
  EACCES: () => 'permission denied',
  EROFS: () => 'the file system is read-only',
  ENOSPC: () => 'no space is left',
}

async function placeOf(path: string): Promise<{ readonly kind: 'file' | 'special'; readonly path: string }> {
  try {
    const end = await realpath(path)
    const stats = await stat(end)
    if (stats.isDirectory()) throw Object.assign(new Error(`"${end}" is a directory`), { code: 'EISDIR' })
    return stats.isFile() ? { kind: 'file', path: end } : { kind: 'special', path }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    await stat(dirname(path))
    return { kind: 'file', path }
  }
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
