import type { DiffId } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { LayerForm } from '@tsbuild/native'
import type { Descriptor } from '@tsbuild/oci'
import {
  blobInForm,
  type CachedLayerRef,
  type ImageLayerRef,
  type LayerRef,
  layerFormat,
} from '@tsbuild/snapshot'
import { baseLayerType, typeIn } from './layer-types.ts'
import type { AssembledLayer, ExportContext, ExporterOptions, ImageForm, ImageParts } from './types.ts'

/** A layer of an image to be. */
export interface MadeLayer {
  readonly layer: AssembledLayer
  readonly diffId: DiffId
}

/** BuildKit's name for: the times in this layer are not later than this one, and not those of the files as built. */
const rewrittenAnnotation = 'buildkit/rewritten-timestamp'

/** What a layer is made from besides itself. */
export interface LayerParts extends Pick<ImageParts, 'form' | 'sourceDateEpoch'> {
  /** What it stands upon, lowest first; needed for layers of caches. */
  readonly below?: readonly LayerRef[] | undefined
}

/**
 * Compresses a layer that this build made; a layer of a base image is only named, unless its compression is to be another.
 *
 * @throws {UserError} `ERR_USAGE` for times that are to be rewritten to none
 */
export async function assembleLayer(
  options: ExporterOptions,
  layer: LayerRef,
  parts: LayerParts,
  context: ExportContext,
): Promise<MadeLayer> {
  const { form } = parts
  const cancellable = reporting(context)
  if (layer.kind === 'cached') return await assembleCached(options, layer, parts, context)
  if (layer.kind === 'snapshot') {
    const layerForm = layerFormOf(parts)
    const { diffId, ...blob } = await options.snapshotter.layerBlob(layer.id, layerForm, cancellable)
    return { layer: { descriptor: described(blob, form, layerForm.clampMtime), origin: undefined }, diffId }
  }
  if (form.forceCompression && !isCompressedAs(layer, form)) {
    const { diffId, ...blob } = await options.snapshotter.convertLayer(layer, form.compression, cancellable)
    return { layer: { descriptor: described(blob, form, null), origin: undefined }, diffId }
  }
  const { digest, size, diffId } = layer
  const descriptor = { mediaType: baseLayerType(layer.mediaType, form), digest, size }
  return { layer: { descriptor, origin: layer }, diffId }
}

/** A layer that a cache has in the form of the image is only named; any other form is made from its files. */
async function assembleCached(
  { snapshotter }: ExporterOptions,
  layer: CachedLayerRef,
  { below = [], ...parts }: LayerParts,
  context: ExportContext,
): Promise<MadeLayer> {
  const { form } = parts
  const layerForm = layerFormOf(parts)
  const found = blobInForm(layer, layerForm, form.forceCompression)
  if (found !== undefined) {
    const { digest, size, mediaType, annotations, diffId } = found
    const blob = { digest, size, mediaType, ...(annotations === undefined ? {} : { annotations }) }
    return { layer: { descriptor: described(blob, form, layerForm.clampMtime), origin: found }, diffId }
  }
  const id = await snapshotter.topmost({ layers: [...below, layer] }, context.signal)
  const { diffId, ...blob } = await snapshotter.layerBlob(id, layerForm, reporting(context))
  return { layer: { descriptor: described(blob, form, layerForm.clampMtime), origin: undefined }, diffId }
}

/**
 * What the layers of this build are written as.
 *
 * @throws {UserError} `ERR_USAGE` for times that are to be rewritten to none
 */
export function layerFormOf({
  form: { compression, rewriteTimestamp },
  sourceDateEpoch,
}: Pick<ImageParts, 'form' | 'sourceDateEpoch'>): LayerForm {
  if (rewriteTimestamp !== false && sourceDateEpoch !== undefined)
    return { compression, clampMtime: sourceDateEpoch }
  if (rewriteTimestamp !== true) return { compression, clampMtime: null }
  throw new UserError('ERR_USAGE', 'Cannot rewrite timestamps: there is no SOURCE_DATE_EPOCH', {
    hints: ['Give it with `--build-arg SOURCE_DATE_EPOCH=…`, or for one output with `source-date-epoch=…`.'],
  })
}

/** Whether what is unpacked of these layers is what the steps left: the times, and no table of contents of estargz. */
export function isAsUnpacked(parts: Pick<ImageParts, 'form' | 'sourceDateEpoch'>): boolean {
  const { compression, clampMtime } = layerFormOf(parts)
  return clampMtime === null && compression.format !== 'estargz'
}

/** Of gzip nobody can tell whether it is estargz, so that is always written again. */
function isCompressedAs({ mediaType }: ImageLayerRef, { compression }: ImageForm): boolean {
  return layerFormat(mediaType) === compression.format
}

function described(blob: Descriptor, { mediaTypes }: ImageForm, rewrittenTo: number | null): Descriptor {
  const { digest, size, annotations } = blob
  const mediaType = typeIn(mediaTypes, blob.mediaType)
  // Docker's manifests have no annotations.
  if (mediaTypes === 'docker') return { mediaType, digest, size }
  const rewritten = rewrittenTo === null ? {} : { [rewrittenAnnotation]: String(rewrittenTo) }
  const all = { ...annotations, ...rewritten }
  return { mediaType, digest, size, ...(Object.keys(all).length > 0 && { annotations: all }) }
}

function reporting({ signal, vertex, events, now }: ExportContext) {
  return {
    signal,
    onProgress: (currentBytes: number) => {
      const status = { id: 'exporting layers', currentBytes, totalBytes: null, done: false }
      events({ type: 'vertex.status', vertex, ...status, at: now() })
    },
    onWarning: (message: string) =>
      events({ type: 'warning', rule: 'LayerContent', message, source: null, at: now() }),
  }
}
