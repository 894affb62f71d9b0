import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import {
  compareLayers,
  compareValues,
  type FieldDifference,
  type ImageComparison,
  type LayerComparison,
  type LayerEntry,
  readLayer,
} from '@tsbuild/compare'
import type { ResolvedImage } from '@tsbuild/frontend'
import {
  hostPlatform,
  type ImageConfig,
  normalizePlatform,
  parsePlatform,
  serializeImageConfig,
} from '@tsbuild/oci'
import { type ImageLayerRef, layerFormat, layerLimits } from '@tsbuild/snapshot'
import type { Machine } from './machine.ts'

/** `tsbuild compare`. */
export interface CompareImagesOptions {
  /** A name, or `oci-layout://PATH[:TAG|@DIGEST]`; local images first. */
  readonly before: string
  readonly after: string
  /** Default the machine's own. */
  readonly platform?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Says what differs between two images. Layers that have the same unpacked bytes are not fetched; of the others each file is
 * compared.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`, `ERR_PLATFORM_INVALID`; `ERR_LAYER_INVALID` and its like for a layer that is none
 */
export async function compareImages(
  machine: Machine,
  options: CompareImagesOptions,
): Promise<ImageComparison> {
  const signal = options.signal ?? new AbortController().signal
  const host = hostPlatform(process.arch)
  const platform = normalizePlatform(
    options.platform === undefined ? host : parsePlatform(options.platform, host),
  )
  const resolve = (name: string) => machine.images.resolve(name, platform, { pull: false, signal })
  const [before, after] = await Promise.all([resolve(options.before), resolve(options.after)])
  if (before.manifest === after.manifest) return { same: true, manifest: [], config: [], layers: [] }
  const layers = await compareStacks(machine, before, after, signal)
  return {
    same: false,
    manifest: manifestDifferences(before, after),
    config: compareValues(configOf(before.config), configOf(after.config)),
    layers,
  }
}

/** The config as other tools show it, without what the comparison of the layers says better. */
function configOf(config: ImageConfig): object {
  const { rootfs: _, ...rest } = JSON.parse(serializeImageConfig(config).toString())
  return rest
}

/** What is neither in the config nor in the files: how layers are compressed and called. */
function manifestDifferences(before: ResolvedImage, after: ResolvedImage): readonly FieldDifference[] {
  const described = ({ layers }: ResolvedImage) =>
    layers.map(({ mediaType, digest }) => ({ mediaType, digest }))
  const same = before.layers.every(({ diffId }, index) => diffId === after.layers[index]?.diffId)
  return same ? compareValues({ layers: described(before) }, { layers: described(after) }) : []
}

async function compareStacks(
  machine: Machine,
  before: ResolvedImage,
  after: ResolvedImage,
  signal: AbortSignal,
): Promise<readonly LayerComparison[]> {
  const differences: LayerComparison[] = []
  const instructions = [instructionsOf(after.config), instructionsOf(before.config)]
  for (let index = 0; index < Math.max(before.layers.length, after.layers.length); index++) {
    const [one, other] = [before.layers[index], after.layers[index]]
    if (one?.diffId === other?.diffId) continue
    const entries = (image: ResolvedImage) => listLayer(machine, image, index, signal)
    const files = one && other && compareLayers(await entries(before), await entries(after))
    const createdBy = instructions.map((list) => list[index]).find((text) => text !== undefined)
    differences.push({ index, createdBy, before: one?.diffId, after: other?.diffId, files })
  }
  return differences
}

function instructionsOf({ history }: ImageConfig): readonly (string | undefined)[] {
  return history.filter(({ emptyLayer }) => emptyLayer !== true).map(({ createdBy }) => createdBy)
}

/** Through a plain copy on the disk: a layer may be larger than memory, and compressed as only the helper can read it. */
async function listLayer(
  { store, native, images }: Machine,
  image: ResolvedImage,
  index: number,
  signal: AbortSignal,
): Promise<readonly LayerEntry[]> {
  const layer = image.layers[index]
  if (layer === undefined) return []
  const ref: ImageLayerRef = { kind: 'image', reference: image.reference, ...layer }
  if ((await store.blobs.size(ref.digest)) === undefined) await images.fetchLayer(ref, signal)
  const [blob, plain] = await Promise.all([open(store.blobs.path(ref.digest)), store.blobs.ingest()])
  try {
    const { digest, size: sizeBytes, diffId } = ref
    const to = { format: 'none', level: 0 } as const
    const from = layerFormat(ref.mediaType)
    const request = { from, digest, sizeBytes, diffId, to, limits: layerLimits }
    await native.convert(request, { from: blob.fd, to: plain.fd }, { signal })
    return await readLayer(createReadStream(plain.path))
  } finally {
    await Promise.all([blob.close(), plain.abort()])
  }
}
