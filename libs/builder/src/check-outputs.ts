import { realpath } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { assertOutputPlace, refuseIndexAnnotations } from '@tsbuild/exporter'
import { hostPlatform } from '@tsbuild/oci'
import { annotationsOf } from './annotations.ts'
import { mainContextSource, namedContextSource } from './contexts/context-source.ts'
import { formOf } from './output-form.ts'
import { namesOf, tagsOf } from './output-names.ts'
import type { DirectoryOutput, ImageLikeOutput, TarOutput } from './output-types.ts'
import { hasLayers, outputsOf } from './outputs.ts'
import { wantedPlatforms } from './platforms.ts'
import type { BuildOptions } from './types.ts'

/**
 * Refuses what no output could be made of, before anything is built.
 *
 * @param storeRoot which no output may remove
 * @throws {UserError} `ERR_USAGE` for what contradicts itself, `ERR_UNSUPPORTED`, `ERR_PLATFORM_INVALID`, `ERR_ENTITLEMENT`
 * @throws {EnvironmentError} `ERR_OUTPUT` for a place where nothing can be written
 */
export async function checkOutputs(options: BuildOptions, storeRoot: string): Promise<void> {
  const outputs = outputsOf(options)
  const images = outputs.filter(hasLayers)
  const platforms = wantedPlatforms(options, hostPlatform(process.arch))
  tagsOf(options)
  for (const output of images) {
    formOf(output, options)
    namesOf(output, options)
    const specs = [...(options.annotations ?? []), ...(output.annotations ?? [])]
    const { index } = annotationsOf(specs, platforms)
    // What is said about an image may make an index of it; that is known when it is said.
    if (platforms.length === 1 && options.attestations === undefined) refuseIndexAnnotations(index)
    refuseDockerIndex(output, platforms.length)
  }
  if ((options.annotations ?? []).length > 0 && images.length === 0) {
    throw new UserError('ERR_USAGE', 'Cannot set annotations: no output is an image', {
      hints: ['Name it with --tag, or add an output of the type image, registry, oci or docker.'],
    })
  }
  await checkPlaces(options)
  for (const output of outputs) {
    if (output.type === 'local' || output.type === 'tar') refusePrefix(output)
    if (output.type === 'local') await checkDeletion(output, options, storeRoot)
  }
}

/** With a directory in it, a symlink of the result would say where the file goes. */
function refusePrefix({ attestationPrefix: prefix = '' }: DirectoryOutput | TarOutput): void {
  if (!/[/\0]/.test(prefix)) return
  throw new UserError(
    'ERR_USAGE',
    `Cannot use attestation-prefix "${prefix}": it is no part of a file's name`,
  )
}

/** What is not in a result is removed only where the caller says that it may, and never what the build is made from. */
async function checkDeletion(
  { dest, mode }: DirectoryOutput,
  options: BuildOptions,
  storeRoot: string,
): Promise<void> {
  const { cwd, allowOutputs = [] } = options
  if (mode !== 'delete') return
  if (!allowOutputs.includes('buildx.local.delete')) {
    throw new UserError(
      'ERR_ENTITLEMENT',
      `Cannot write to "${dest}" with mode=delete: it removes what else is there`,
      {
        hints: ['Say `--allow buildx.local.delete`.'],
      },
    )
  }
  const place = await realPlace(resolve(cwd, dest))
  for (const path of [storeRoot, ...directoriesOf(options)]) {
    const lead = relative(place, await realPlace(path))
    if (lead.startsWith('..')) continue
    throw new UserError(
      'ERR_USAGE',
      `Cannot write to "${dest}" with mode=delete: it holds "${path}", which the build needs`,
    )
  }
}

/** Of the main context and of those that have a name. */
function directoriesOf({ cwd, context, buildContexts = {} }: BuildOptions): readonly string[] {
  const named = Object.entries(buildContexts).map(([name, given]) => namedContextSource(name, given, cwd))
  return [mainContextSource(context, cwd), ...named].flatMap((source) =>
    source.kind === 'directory' ? [source.path] : [],
  )
}

function refuseDockerIndex({ type }: ImageLikeOutput, platforms: number): void {
  if (type !== 'docker' || platforms === 1) return
  throw new UserError(
    'ERR_UNSUPPORTED',
    `Cannot write a docker archive: it takes one image, and here are ${platforms} platforms`,
    { hints: ['Write an OCI archive (type=oci), or build for one platform.'] },
  )
}

interface Place {
  /** Absolute. */
  readonly path: string
  readonly kind: 'file' | 'directory'
}

async function checkPlaces(options: BuildOptions): Promise<void> {
  const taken = new Set<string>()
  for (const { path, kind } of placesOf(options)) {
    await assertOutputPlace(path, kind)
    const real = await realPlace(path)
    if (taken.has(real)) throw new UserError('ERR_USAGE', `Cannot write two outputs to one place: "${path}"`)
    // Anything may be written to a device any number of times.
    if (!real.startsWith('/dev/')) taken.add(real)
  }
}

function placesOf(options: BuildOptions): readonly Place[] {
  return outputsOf(options).flatMap((output): readonly Place[] => {
    if (!('dest' in output) || typeof output.dest !== 'string') return []
    const isDirectory = output.type === 'local' || ('tar' in output && output.tar === false)
    return [{ path: resolve(options.cwd, output.dest), kind: isDirectory ? 'directory' : 'file' }]
  })
}

/** Where a path leads; of one that is not there yet, where it will be. */
async function realPlace(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(await realPlace(parent), basename(path))
  }
}
