import { createReadStream } from 'node:fs'
import { Readable, type Writable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import type { TransferOutcome } from '@tsbuild/events'
import {
  type Descriptor,
  type ImageReference,
  parseReference,
  writeDockerArchive,
  writeOciArchive,
} from '@tsbuild/oci'
import pLimit from 'p-limit'
import type { AssembledImage, AssembledLayer, ExportContext, ExporterOptions } from './types.ts'
import { writeOutput } from './write-output.ts'

/** Sets names of the local image list to an image; its every blob is in the store then. */
export async function exportToStore(
  options: ExporterOptions,
  image: AssembledImage,
  names: readonly string[],
  { signal }: ExportContext,
): Promise<void> {
  await fetchLayers(options, image.layers, signal)
  const current = await Promise.all(names.map((name) => options.store.images.get(name)))
  const stale = names.filter((_, index) => current[index]?.digest !== image.manifest.digest)
  if (stale.length > 0) await options.store.images.set(stale, image.manifest)
}

/** Writes an OCI or a docker-load archive. */
export async function exportArchive(
  options: ExporterOptions,
  image: AssembledImage,
  archive: {
    readonly type: 'oci' | 'docker'
    readonly dest: string | Writable
    readonly names: readonly string[]
  },
  { signal }: ExportContext,
): Promise<void> {
  await fetchLayers(options, image.layers, signal)
  const sizes = new Map(
    [image.manifest, image.config, ...image.layers.map(({ descriptor }) => descriptor)].map((blob) => [
      blob.digest,
      blob.size,
    ]),
  )
  const open = (digest: Digest) => options.store.blobs.stream({ digest, size: sizes.get(digest) ?? 0 })
  const content = { root: image.manifest, names: archive.names, open }
  const write = archive.type === 'oci' ? writeOciArchive : writeDockerArchive
  await writeOutput(archive.dest, (out) => write(out, content, { signal }))
}

/** Layers of a base image that nobody has read yet are fetched now. */
async function fetchLayers(
  { store, fetch }: ExporterOptions,
  layers: readonly AssembledLayer[],
  signal: AbortSignal,
) {
  const limit = pLimit({ concurrency: 4, rejectOnClear: true })
  await Promise.all(
    layers.map(({ descriptor, origin }) =>
      limit(async () => {
        if (origin !== undefined && (await store.blobs.size(descriptor.digest)) === undefined)
          await fetch(origin, signal)
      }),
    ),
  )
}

/**
 * Pushes an image under a name: the layers and the config that the registry lacks, then the manifest. Layers of a base
 * image of the same registry are mounted from there and never fetched.
 */
export async function pushImage(
  options: ExporterOptions,
  image: AssembledImage,
  name: string,
  context: ExportContext,
): Promise<void> {
  const reference = parseReference(name)
  const limit = pLimit({ concurrency: 4, rejectOnClear: true })
  await Promise.all(image.layers.map((layer) => limit(() => pushLayer(options, layer, reference, context))))
  await upload(options, image.config, reference, [], context)
  await options
    .registry()
    .putManifest(reference, image.manifestBytes, image.manifest.mediaType, { signal: context.signal })
}

async function pushLayer(
  options: ExporterOptions,
  { descriptor, origin }: AssembledLayer,
  reference: ImageReference,
  context: ExportContext,
): Promise<void> {
  const { signal } = context
  const stored = (await options.store.blobs.size(descriptor.digest)) !== undefined
  // The image of an OCI layout is in no registry.
  const isPulled = origin !== undefined && !origin.reference.startsWith('oci-layout:')
  const source = isPulled ? parseReference(origin.reference) : undefined
  const sameRegistry = source !== undefined && source.registry === reference.registry
  if (!stored && origin !== undefined) {
    const registry = options.registry()
    if (await registry.hasBlob(reference, descriptor, { signal }))
      return pushed(descriptor, 'exists', context)
    if (
      sameRegistry &&
      (await registry.mountBlob(reference, descriptor.digest, source.repository, { signal }))
    )
      return pushed(descriptor, 'mounted', context)
    await options.fetch(origin, signal)
  }
  await upload(options, descriptor, reference, sameRegistry ? [source.repository] : [], context)
}

async function upload(
  options: ExporterOptions,
  descriptor: Descriptor,
  reference: ImageReference,
  mountFrom: readonly string[],
  context: ExportContext,
): Promise<void> {
  const { vertex, events, now, signal } = context
  const { digest, size } = descriptor
  // What is sent in one piece is verified; the registry verifies all. Node refuses to start a read behind the end of a file.
  const openRange = (start: number) =>
    start === 0
      ? options.store.blobs.stream(descriptor)
      : start >= size
        ? Readable.from([])
        : createReadStream(options.store.blobs.path(digest), { start })
  const onProgress = (currentBytes: number) => {
    const amounts = { id: `pushing ${digest}`, currentBytes, totalBytes: size, done: false }
    events({ type: 'vertex.status', vertex, ...amounts, at: now() })
  }
  const sending = { mountFrom, signal, onProgress }
  const outcome = await options.registry().uploadBlob(reference, descriptor, openRange, sending)
  pushed(descriptor, outcome === 'uploaded' ? 'sent' : outcome, context)
}

/** Says what became of a blob. Of one that was there already nothing was sent. */
function pushed(
  { digest, size }: Descriptor,
  outcome: TransferOutcome,
  { vertex, events, now }: ExportContext,
): void {
  const currentBytes = outcome === 'sent' ? size : 0
  const amounts = { id: `pushing ${digest}`, currentBytes, totalBytes: size, done: true }
  events({ type: 'vertex.status', vertex, ...amounts, outcome, at: now() })
}
