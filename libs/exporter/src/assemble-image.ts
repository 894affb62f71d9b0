import { type ChainId, chainUpon, type DiffId } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import type { ImageDraft } from '@tsbuild/frontend'
import {
  type HistoryEntry,
  type ImageConfig,
  mediaTypes,
  serializeImageConfig,
  serializeManifest,
} from '@tsbuild/oci'
import type { LayerRef } from '@tsbuild/snapshot'
import type { SnapshotId } from '@tsbuild/store'
import { assembleLayer, isAsUnpacked, type MadeLayer } from './assemble-layer.ts'
import { putDocument, withAnnotations } from './documents.ts'
import { typeIn } from './layer-types.ts'
import type { AssembledImage, ExportContext, ExporterOptions, ImageParts } from './types.ts'

/**
 * Makes the config and the manifest of an image and stores them. Layers made by this build are compressed on the way;
 * those of a base image are only named. The bytes depend on the layers and on the draft alone: an image whose every step
 * was cached has the digest that it had before.
 */
export async function assembleImage(
  options: ExporterOptions,
  parts: ImageParts,
  context: ExportContext,
): Promise<AssembledImage> {
  const { layers } = parts.filesystem
  const made = await mapSome([...layers.entries()], ([index, layer]) =>
    assembleLayer(options, layer, { ...parts, below: layers.slice(0, index) }, context),
  )
  if (isAsUnpacked(parts)) await adoptSnapshots(options, layers, made)
  const types = parts.form.mediaTypes
  const config = await putDocument(
    options.store,
    typeIn(types, mediaTypes.ociConfig),
    serializeImageConfig(imageConfig(parts, made), await membersOf(parts, made)),
  )
  const mediaType = typeIn(types, mediaTypes.ociManifest)
  const manifestBytes = serializeManifest({
    mediaType,
    config,
    layers: made.map(({ layer }) => layer.descriptor),
    annotations: parts.annotations?.manifest ?? {},
  })
  const stored = await putDocument(options.store, mediaType, manifestBytes)
  const manifest = withAnnotations(stored, parts.annotations?.manifestDescriptor)
  return { manifest, manifestBytes, config, layers: made.map(({ layer }) => layer) }
}

async function membersOf({ filesystem, configMembers }: ImageParts, made: readonly MadeLayer[]) {
  if (configMembers === undefined) return {}
  const layers = made.flatMap(({ layer, diffId }, place) => {
    const ref = filesystem.layers[place]
    return ref === undefined ? [] : [{ ref, digest: layer.descriptor.digest, diffId }]
  })
  return await configMembers(layers)
}

/** Layers that are made at a time. Each takes a process with threads, and an image may have a thousand. */
const atATime = 8

async function mapSome<T, U>(items: readonly T[], body: (item: T) => Promise<U>): Promise<readonly U[]> {
  const made: U[] = []
  const entries = items.entries()
  const work = async () => {
    for (const [index, item] of entries) made[index] = await body(item)
  }
  await Promise.all(Array.from({ length: atATime }, work))
  return made
}

/** So that a later `FROM` of this image, or `tsbuild run`, finds its layers unpacked. */
async function adoptSnapshots(
  { snapshotter }: ExporterOptions,
  layers: readonly LayerRef[],
  made: readonly MadeLayer[],
) {
  const stacks: { chain: ChainId; id: SnapshotId; diffId: DiffId }[] = []
  let chain: ChainId | undefined
  for (const [index, layer] of layers.entries()) {
    const diffId = made[index]?.diffId
    if (diffId === undefined) throw new InternalError('ERR_INTERNAL', 'a layer was not made')
    chain = chainUpon(chain, diffId)
    if (layer.kind === 'snapshot') stacks.push({ chain, id: layer.id, diffId })
  }
  await snapshotter.adopt(stacks)
}

function imageConfig(
  { draft, filesystem, sourceDateEpoch }: ImageParts,
  made: readonly MadeLayer[],
): ImageConfig {
  const fixed = sourceDateEpoch === undefined ? undefined : timestamp(sourceDateEpoch * 1000)
  const { history, created } = historyOf(draft, filesystem.layers, fixed)
  return {
    created,
    author: draft.author,
    platform: draft.platform,
    config: draft.config,
    diffIds: made.map(({ diffId }) => diffId),
    history,
  }
}

/** Each entry has the time of its layer, or of the one before: so a cached build gives the same bytes again. */
function historyOf(draft: ImageDraft, layers: readonly LayerRef[], fixed: string | undefined) {
  const own = layers
    .filter((layer) => layer.kind !== 'image')
    .slice(-draft.history.filter((e) => !e.emptyLayer).length)
  let next = 0
  // Entries before the first layer of an image from scratch are as old as that layer.
  const [first] = own
  const oldest = timestamp(first?.createdAt ?? 0)
  let created = fixed ?? draft.baseCreated ?? oldest
  const history: HistoryEntry[] = [...draft.baseHistory]
  for (const { createdBy, emptyLayer } of draft.history) {
    const layer = emptyLayer ? undefined : own[next++]
    if (fixed === undefined && layer !== undefined) created = timestamp(layer.createdAt)
    history.push({
      created,
      createdBy,
      comment: 'buildkit.dockerfile.v0',
      ...(emptyLayer ? { emptyLayer } : {}),
    })
  }
  return { history, created }
}

function timestamp(unixMs: number): string {
  return new Date(unixMs).toISOString()
}
