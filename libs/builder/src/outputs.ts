import { setMaxListeners } from 'node:events'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import {
  type ConfigMembers,
  type ExportContext,
  type ExporterOptions,
  exportDirectory,
  exportTar,
} from '@tsbuild/exporter'
import { formatPlatform, parseReference } from '@tsbuild/oci'
import type { BlobRef, CachedLayers, Snapshotter } from '@tsbuild/snapshot'
import type { Attestations } from './attestations/create-attestations.ts'
import { loadIntoEngine } from './engine-output.ts'
import {
  createImageMaker,
  type ImageMaker,
  type MadeImage,
  type PlatformResult,
  writeImageFile,
  writeNamedImage,
} from './image-outputs.ts'
import type { InternalVertices } from './internal-vertex.ts'
import { epochOf } from './output-form.ts'
import { namesOf } from './output-names.ts'
import type { DirectoryOutput, ImageLikeOutput, OutputSpec, TarOutput } from './output-types.ts'
import { platformDirectory } from './platforms.ts'
import type { BuildRun } from './run-build.ts'
import type { PushSigner } from './sign-pushed.ts'
import type { BuildOptions, BuildResult } from './types.ts'

/** What the outputs of a build are made from. */
export interface OutputParts {
  readonly run: BuildRun
  readonly internal: InternalVertices
  readonly snapshotter: Snapshotter
  /** In the order asked for. */
  readonly platforms: readonly PlatformResult[]
  readonly attestations?: Attestations | undefined
  readonly signer?: PushSigner | undefined
  /** Where layers of caches come from. */
  readonly cached?: CachedLayers | undefined
  /** A cache within the images. */
  readonly configMembers?: ConfigMembers | undefined
}

/** What the outputs made of a build. */
export type WrittenOutputs = Pick<BuildResult, 'image' | 'configDigest' | 'images' | 'names'>

/** What one output made. */
interface Written {
  readonly made: MadeImage
  readonly names: readonly string[]
}

/**
 * Writes every output of a build, side by side. Without any, a tagged build goes to the local image list. The first failure
 * cancels the others.
 *
 * @returns of several forms of the image the one of the first output
 */
export async function writeOutputs(parts: OutputParts): Promise<WrittenOutputs> {
  const { run, platforms } = parts
  const { options, machine } = run
  const outputs = outputsOf(options)
  const exporter: ExporterOptions = {
    store: machine.store,
    native: machine.native,
    snapshotter: parts.snapshotter,
    registry: () => machine.registry(),
    fetch: onceEach((layer, aborted) => fetchLayer(parts, layer, aborted)),
  }
  const { attestations, configMembers } = parts
  const imageOf = createImageMaker({ exporter, options, platforms, attestations, configMembers })
  const written = await sideBySide(outputs, run.signal, (output, signal) =>
    writeOne({ parts, exporter, imageOf, signal }, output),
  )
  const images = written.filter((one) => one !== undefined)
  const made = images[0]?.made
  const names = [...new Set(images.flatMap((one) => one.names))]
  if (made === undefined) return { images: [], names }
  const configs = made.images.map(({ platform, image }) => ({
    platform: formatPlatform(platform),
    descriptor: image.manifest,
    configDigest: image.config.digest,
  }))
  const only = configs.length === 1 ? configs[0]?.configDigest : undefined
  return { image: made.tree.root, configDigest: only, images: configs, names }
}

async function fetchLayer({ run, cached }: OutputParts, layer: BlobRef, signal: AbortSignal): Promise<void> {
  if (layer.kind === 'image') return await run.machine.images.fetchLayer(layer, signal)
  if (cached === undefined) throw new InternalError('ERR_INTERNAL', 'there is no cache to fetch a layer from')
  await cached.fetch(layer, signal)
}

/** Two outputs that want a layer at a time wait for one download. */
function onceEach(fetch: ExporterOptions['fetch']): ExporterOptions['fetch'] {
  const underWay = new Map<Digest, Promise<void>>()
  return (layer, signal) => {
    const known = underWay.get(layer.digest)
    if (known !== undefined) return known
    const fetching = fetch(layer, signal).finally(() => underWay.delete(layer.digest))
    underWay.set(layer.digest, fetching)
    return fetching
  }
}

/** Runs `body` for each; a failure cancels the others, and is thrown when nothing runs any more. */
async function sideBySide<T, U>(
  items: readonly T[],
  outer: AbortSignal,
  body: (item: T, signal: AbortSignal) => Promise<U>,
): Promise<readonly U[]> {
  const abort = new AbortController()
  const signal = AbortSignal.any([outer, abort.signal])
  setMaxListeners(0, signal)
  let failure: { readonly error: unknown } | undefined
  const results = await Promise.all(
    items.map(async (item) => {
      try {
        return [await body(item, signal)]
      } catch (error) {
        failure ??= { error }
        abort.abort()
        return []
      }
    }),
  )
  if (failure !== undefined) throw failure.error
  return results.flat()
}

/** The outputs asked for, or the local image list for a build with a name. */
export function outputsOf({ outputs, tags }: BuildOptions): readonly OutputSpec[] {
  return outputs ?? (tags !== undefined && tags.length > 0 ? [{ type: 'image' }] : [])
}

/** Whether an output is made of layers. */
export function hasLayers(output: OutputSpec): output is ImageLikeOutput {
  return output.type !== 'local' && output.type !== 'tar' && output.type !== 'cacheonly'
}

/** Whether an output goes to a registry. */
export function pushes(output: OutputSpec): boolean {
  return output.type === 'registry' || (output.type === 'image' && output.push === true)
}

/** What one output is written with. */
interface Writing {
  readonly parts: OutputParts
  readonly exporter: ExporterOptions
  readonly imageOf: ImageMaker
  readonly signal: AbortSignal
}

async function writeOne(writing: Writing, output: OutputSpec): Promise<Written | undefined> {
  if (output.type === 'cacheonly') return undefined
  const { parts, signal } = writing
  const { events, machine } = parts.run
  return await parts.internal.run(titles[output.type], async (vertex) => {
    const context: ExportContext = { vertex, events, now: machine.now, signal }
    if (hasLayers(output)) return await writeImage(writing, output, context)
    await writeFiles(writing, output, context)
    return undefined
  })
}

const titles: Readonly<Record<Exclude<OutputSpec['type'], 'cacheonly'>, string>> = {
  oci: 'exporting to oci image format',
  docker: 'exporting to docker image format',
  engine: 'loading into the engine',
  image: 'exporting to image',
  registry: 'exporting to image',
  local: 'exporting to client directory',
  tar: 'exporting to client tarball',
}

async function writeImage(
  { parts, exporter, imageOf }: Writing,
  output: ImageLikeOutput,
  context: ExportContext,
): Promise<Written> {
  const { machine, options } = parts.run
  const made = await imageOf(output, context)
  const done = (what: string) => {
    const status = { id: what, currentBytes: 0, totalBytes: null, done: true }
    context.events({ type: 'vertex.status', vertex: context.vertex, ...status, at: context.now() })
  }
  const target = { exporter, tree: made.tree, names: namesOf(output, options), context, done }
  if ('dest' in output) {
    const names = await writeImageFile(target, output, destination(parts, output.dest))
    return { made, names }
  }
  if (output.type === 'engine')
    return { made, names: await loadIntoEngine(target, output, machine.options.env) }
  const hosts = output.insecure === true ? target.names.map((name) => parseReference(name).registry) : []
  const registry = () => machine.registry(hosts)
  const names = await writeNamedImage(target, output, registry)
  if (pushes(output)) await parts.signer?.sign(made.tree.root, names, registry, context)
  return { made, names }
}

async function writeFiles(
  { parts, exporter }: Writing,
  output: DirectoryOutput | TarOutput,
  context: ExportContext,
): Promise<void> {
  const { platforms, run } = parts
  const { platformSplit = platforms.length > 1 } = output
  const files = await Promise.all(
    platforms.map(async (result) => {
      const { platform } = result.frontend.image
      return {
        platform: formatPlatform(platform),
        filesystem: result.filesystem,
        directory: platformSplit ? platformDirectory(platform) : undefined,
        extras: (await parts.attestations?.filesOf(result, output)) ?? [],
      }
    }),
  )
  const mtime = epochOf(output, platforms[0]?.frontend)
  if (output.type === 'local') {
    const dest = resolve(run.options.cwd, output.dest)
    return await exportDirectory(exporter, files, dest, context, { mode: output.mode, mtime })
  }
  await exportTar(exporter, files, destination(parts, output.dest), context, { mtime: mtime ?? 0 })
}

function destination({ run }: OutputParts, dest: string | Writable): string | Writable {
  return typeof dest === 'string' ? resolve(run.options.cwd, dest) : dest
}
