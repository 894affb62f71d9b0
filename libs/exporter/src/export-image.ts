import { setMaxListeners } from 'node:events'
import { createReadStream } from 'node:fs'
import { Readable, type Writable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import type { EventSink, TransferOutcome } from '@tsbuild/events'
import {
  type Descriptor,
  dockerArchiveParts,
  type ImageReference,
  ociArchiveParts,
  parseReference,
  writeArchiveParts,
} from '@tsbuild/oci'
import { isBlobUnknown, type RegistryClient } from '@tsbuild/registry'
import type { BlobRef } from '@tsbuild/snapshot'
import pLimit from 'p-limit'
import type {
  AssembledImage,
  AssembledLayer,
  AssembledTree,
  ExportContext,
  ExporterOptions,
} from './types.ts'
import { isWorthHelper, standardOutput, writeArchive } from './write-archive.ts'
import { writeOutput } from './write-output.ts'

/** Sets names of the local image list to an image or index; its every blob is in the store then. */
export async function exportToStore(
  options: ExporterOptions,
  { root, manifests }: AssembledTree,
  names: readonly string[],
  { signal }: ExportContext,
): Promise<void> {
  await fetchLayers(options, manifests, signal)
  const current = await Promise.all(names.map((name) => options.store.images.get(name)))
  const stale = names.filter((_, index) => current[index]?.digest !== root.digest)
  if (stale.length > 0) await options.store.images.set(stale, root)
}

/** Writes an OCI or a docker-load archive. @throws {UserError} `ERR_UNSUPPORTED` for several images for Docker */
export async function exportArchive(
  options: ExporterOptions,
  tree: AssembledTree,
  archive: {
    readonly type: 'oci' | 'docker'
    readonly dest: string | Writable
    readonly names: readonly string[]
  },
  { signal }: ExportContext,
): Promise<void> {
  await fetchLayers(options, tree.manifests, signal)
  const content = { root: tree.root, names: archive.names, open: opener(options, tree) }
  const { dest, type } = archive
  const parts = await (type === 'oci' ? ociArchiveParts : dockerArchiveParts)(content)
  const place = typeof dest === 'string' ? dest : standardOutput(dest)
  if (place !== undefined && isWorthHelper(parts)) return await writeArchive(options, parts, place, signal)
  await writeOutput(dest, (out) => writeArchiveParts(out, parts, content.open, { signal }))
}

/** Opens what belongs to a tree. */
export function opener({ store }: ExporterOptions, { root, manifests }: AssembledTree) {
  const blobs = [root, ...manifests.flatMap(blobsOf)]
  const sizes = new Map(blobs.map((blob) => [blob.digest, blob.size]))
  return (digest: Digest) => store.blobs.stream({ digest, size: sizes.get(digest) ?? 0 })
}

function blobsOf({ manifest, config, layers }: AssembledImage): readonly Descriptor[] {
  return [manifest, config, ...layers.map(({ descriptor }) => descriptor)]
}

/** Brings layers of base images that nobody has read yet into the store. */
export async function fetchLayers(
  { store, fetch }: ExporterOptions,
  manifests: readonly AssembledImage[],
  signal: AbortSignal,
) {
  const limit = pLimit({ concurrency: 4, rejectOnClear: true })
  await Promise.all(
    layersOf(manifests).map(({ descriptor, origin }) =>
      limit(async () => {
        if (origin !== undefined && (await store.blobs.size(descriptor.digest)) === undefined)
          await fetch(origin, signal)
      }),
    ),
  )
}

/** Each once: images for several platforms may share them. */
function layersOf(manifests: readonly AssembledImage[]): readonly AssembledLayer[] {
  const layers = manifests.flatMap((image) => image.layers)
  return [...new Map(layers.map((layer) => [layer.descriptor.digest, layer])).values()]
}

/** How an image is pushed. */
export interface PushOptions {
  /** Under its digest alone: the name is a repository. */
  readonly byDigest?: boolean | undefined
  /** For this push; default the one of all. */
  readonly registry?: (() => RegistryClient) | undefined
}

/**
 * Pushes an image or index under a name: the layers and configs that the registry lacks, then each manifest of an index by its
 * digest, and last what the name stands for. Layers of a base image of the same registry are mounted from there and never
 * fetched. A blob that the registry lost in between is sent again, once.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID`; `ERR_USAGE` for a tag where the push is by digest
 */
export async function pushImage(
  options: ExporterOptions,
  { root, rootBytes, manifests }: AssembledTree,
  name: string,
  context: ExportContext,
  { byDigest = false, registry = options.registry }: PushOptions = {},
): Promise<void> {
  const named = parseReference(name)
  const reference = byDigest ? { ...named, tag: undefined } : named
  const tree = { root, rootBytes, manifests }
  const using = { ...options, registry }
  try {
    await pushTree(using, tree, reference, context)
  } catch (error) {
    if (!isBlobUnknown(error)) throw error
    // Its garbage was collected after it had said that the blob is there: what is missing by now is sent, once.
    await pushTree(using, tree, reference, { ...context, events: withoutExisting(context.events) })
  }
}

async function pushTree(
  options: ExporterOptions,
  { root, rootBytes, manifests }: AssembledTree,
  reference: ImageReference,
  context: ExportContext,
): Promise<void> {
  const { signal } = context
  const registry = options.registry()
  await pushBlobs(options, manifests, reference, context)
  // One after the other: a registry may want what a manifest is about before that manifest.
  for (const { manifest, manifestBytes } of manifests) {
    if (manifest.digest === root.digest) continue
    const place = { ...reference, tag: undefined, digest: manifest.digest }
    await registry.putManifest(place, manifestBytes, manifest.mediaType, { signal })
  }
  await registry.putManifest(reference, rootBytes, root.mediaType, { signal })
}

/** All of them, or none goes on: the first failure ends those that are under way. */
async function pushBlobs(
  options: ExporterOptions,
  manifests: readonly AssembledImage[],
  reference: ImageReference,
  context: ExportContext,
): Promise<void> {
  const limit = pLimit({ concurrency: 4, rejectOnClear: true })
  const failed = new AbortController()
  const signal = AbortSignal.any([context.signal, failed.signal])
  // Several uploads listen to it in several places each, which is no leak.
  setMaxListeners(0, signal)
  const pushing = { ...context, signal }
  const pushes = [
    ...layersOf(manifests).map((layer) => limit(() => pushLayer(options, layer, reference, pushing))),
    ...distinct(manifests.map(({ config }) => config)).map((config) =>
      limit(() => upload(options, config, reference, [], pushing)),
    ),
  ]
  try {
    await Promise.all(pushes)
  } catch (error) {
    limit.clearQueue()
    failed.abort()
    await Promise.allSettled(pushes)
    throw error
  }
}

/** What became of a blob is told once. */
function withoutExisting(events: EventSink): EventSink {
  return (event) => {
    if (event.type !== 'vertex.status' || event.outcome !== 'exists') events(event)
  }
}

function distinct(blobs: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()]
}

async function pushLayer(
  options: ExporterOptions,
  { descriptor, origin }: AssembledLayer,
  reference: ImageReference,
  context: ExportContext,
): Promise<void> {
  const { signal } = context
  const stored = (await options.store.blobs.size(descriptor.digest)) !== undefined
  const mountFrom = repositoriesWith(origin, reference.registry)
  if (!stored && origin !== undefined) {
    const registry = options.registry()
    if (await registry.hasBlob(reference, descriptor, { signal }))
      return pushed(descriptor, 'exists', context)
    for (const repository of mountFrom) {
      if (await registry.mountBlob(reference, descriptor.digest, repository, { signal }))
        return pushed(descriptor, 'mounted', context)
    }
    await options.fetch(origin, signal)
  }
  await upload(options, descriptor, reference, mountFrom, context)
}

/** Repositories of a registry that have a layer, as far as is known. */
function repositoriesWith(origin: BlobRef | undefined, registry: string): readonly string[] {
  if (origin === undefined) return []
  const places = origin.kind === 'image' ? [origin.reference] : origin.layer.places
  const repositories = places.flatMap((place) => {
    const reference = referenceOf(place)
    return reference?.registry === registry ? [reference.repository] : []
  })
  return [...new Set(repositories)]
}

/** Neither an OCI layout nor a directory nor a cache-server is in a registry. */
function referenceOf(place: string): ImageReference | undefined {
  if (place.startsWith('oci-layout:') || place.startsWith('/') || place.includes('://')) return undefined
  try {
    return parseReference(place)
  } catch {
    return undefined
  }
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
