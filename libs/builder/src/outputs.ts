import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { UserError } from '@tsbuild/errors'
import {
  type AssembledImage,
  assembleImage,
  type ExportContext,
  type ExporterOptions,
  exportArchive,
  exportDirectory,
  exportTar,
  exportToStore,
  pushImage,
} from '@tsbuild/exporter'
import type { FrontendResult } from '@tsbuild/frontend'
import type { Compression } from '@tsbuild/native'
import type { Filesystem, Snapshotter } from '@tsbuild/snapshot'
import type { InternalVertices } from './internal-vertex.ts'
import type { BuildRun } from './run-build.ts'
import type { BuildOptions, CompressionSpec, OutputSpec } from './types.ts'

/** What the outputs of a build are made from. */
export interface OutputParts {
  readonly run: BuildRun
  readonly internal: InternalVertices
  readonly snapshotter: Snapshotter
  readonly frontend: FrontendResult
  readonly filesystem: Filesystem
  /** In full form. */
  readonly tags: readonly string[]
}

type ImageOutput = Extract<OutputSpec, { type: 'oci' | 'docker' | 'image' | 'registry' }>

/**
 * Writes every output of a build, one after the other. Without any, a tagged build goes to the local image list.
 *
 * @returns the image, if an output needed one; with several compressions that of the first
 */
export async function writeOutputs(parts: OutputParts): Promise<AssembledImage | undefined> {
  const outputs = outputsOf(parts.run.options)
  const exporter: ExporterOptions = {
    store: parts.run.machine.store,
    native: parts.run.machine.native,
    snapshotter: parts.snapshotter,
    registry: parts.run.machine.registry,
    fetch: (layer, signal) => parts.run.machine.images.fetchLayer(layer, signal),
  }
  let first: AssembledImage | undefined
  for (const output of outputs) {
    const image = await writeOne(parts, exporter, output)
    first ??= image
  }
  return first
}

/** The outputs asked for, or the local image list for a build with a name. */
export function outputsOf({ outputs, tags }: BuildOptions): readonly OutputSpec[] {
  return outputs ?? (tags !== undefined && tags.length > 0 ? [{ type: 'image' }] : [])
}

/** The absolute paths that the outputs go to. */
export function outputPlaces(
  options: BuildOptions,
): readonly { readonly path: string; readonly kind: 'file' | 'directory' }[] {
  return outputsOf(options).flatMap((output) => {
    if (!('dest' in output) || typeof output.dest !== 'string') return []
    return [
      { path: resolve(options.cwd, output.dest), kind: output.type === 'local' ? 'directory' : 'file' },
    ] as const
  })
}

/** Whether an output is made of layers. */
export function hasLayers(output: OutputSpec): output is ImageOutput {
  return ['oci', 'docker', 'image', 'registry'].includes(output.type)
}

async function writeOne(
  parts: OutputParts,
  exporter: ExporterOptions,
  output: OutputSpec,
): Promise<AssembledImage | undefined> {
  const { events, machine, signal } = parts.run
  return await withTitle(parts, output, async (vertex) => {
    const context: ExportContext = { vertex, events, now: machine.now, signal }
    switch (output.type) {
      case 'cacheonly':
        return undefined
      case 'local':
        await exportDirectory(
          exporter,
          parts.filesystem,
          resolve(parts.run.options.cwd, output.dest),
          context,
        )
        return undefined
      case 'tar':
        await exportTar(exporter, parts.filesystem, destination(parts, output.dest), context)
        return undefined
      default:
        return await writeImage(parts, exporter, output, context)
    }
  })
}

const titles: Readonly<Record<OutputSpec['type'], string>> = {
  oci: 'exporting to oci image format',
  docker: 'exporting to docker image format',
  image: 'exporting to image',
  registry: 'exporting to image',
  local: 'exporting to client directory',
  tar: 'exporting to client tarball',
  cacheonly: '',
}

function withTitle<T>(
  parts: OutputParts,
  output: OutputSpec,
  body: (vertex: ExportContext['vertex']) => Promise<T | undefined>,
) {
  const title = titles[output.type]
  return title === '' ? Promise.resolve(undefined) : parts.internal.run(title, body)
}

async function writeImage(
  parts: OutputParts,
  exporter: ExporterOptions,
  output: ImageOutput,
  context: ExportContext,
) {
  const { filesystem, tags } = parts
  const { image: draft, sourceDateEpoch } = parts.frontend
  const compression = compressionOf(output.compression)
  const image = await assembleImage(exporter, { draft, filesystem, compression, sourceDateEpoch }, context)
  const done = (what: string) => {
    const status = { id: what, currentBytes: 0, totalBytes: null, done: true }
    context.events({ type: 'vertex.status', vertex: context.vertex, ...status, at: context.now() })
  }
  switch (output.type) {
    case 'image':
      await exportToStore(exporter, image, tags, context)
      break
    case 'registry':
      if (tags.length === 0) {
        throw new UserError('ERR_USAGE', 'Cannot push: the image has no name', {
          hints: ['Name it with --tag.'],
        })
      }
      for (const tag of tags) {
        await pushImage(exporter, image, tag, context)
        done(`pushing manifest for ${tag}@${image.manifest.digest}`)
      }
      return image
    default: {
      const dest = destination(parts, output.dest)
      await exportArchive(exporter, image, { type: output.type, dest, names: tags }, context)
    }
  }
  done(`writing image ${image.config.digest}`)
  for (const tag of tags) done(`naming to ${tag}`)
  return image
}

function destination(parts: OutputParts, dest: string | Writable): string | Writable {
  return typeof dest === 'string' ? resolve(parts.run.options.cwd, dest) : dest
}

/** How the layers of an output are compressed; gzip 6 where it does not say. */
export function compressionOf(spec: CompressionSpec = { type: 'gzip' }): Compression {
  switch (spec.type) {
    case 'gzip':
      return { format: 'gzip', level: spec.level ?? 6 }
    case 'zstd':
      return { format: 'zstd', level: spec.level ?? 3 }
    case 'uncompressed':
      return { format: 'none', level: 0 }
  }
}
