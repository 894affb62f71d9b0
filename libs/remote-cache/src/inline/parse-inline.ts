import { parseInlineCache } from '@tsbuild/buildkit-cache'
import { digestHex } from '@tsbuild/digest'
import {
  type ImageConfig,
  invalidDocument,
  type Manifest,
  parseImageConfig,
  parseJsonObject,
} from '@tsbuild/oci'
import { count, either, isRecord, listOf, type Shape } from '@tsbuild/shape'
import { diffIdAnnotation, stepsFromJson, stepsMember } from '../index-format/steps-json.ts'
import { type CacheIndex, emptyIndex } from '../index-format/types.ts'

/**
 * Reads the cache that an image carries in its config: BuildKit's, and ours.
 *
 * @param bytes of the image's config; untrusted
 * @returns undefined where there is neither
 * @throws {UserError} `ERR_MANIFEST_INVALID`
 */
export function parseInlineIndex(
  bytes: Uint8Array,
  manifest: Pick<Manifest, 'layers'>,
): CacheIndex | undefined {
  const buildkit = parseInlineCache(bytes, manifest)
  const { value } = parseJsonObject(bytes, 'inline cache')
  const written = isRecord(value) ? value[stepsMember] : undefined
  if (buildkit === undefined && written === undefined) return undefined
  const steps = written === undefined ? [] : stepsOf(written, parseImageConfig(bytes), manifest)
  return { ...emptyIndex, buildkit: buildkit ?? emptyIndex.buildkit, steps }
}

const places: Shape = listOf(
  (value) => Array.isArray(value) && count(value[0]) && either((form) => form === null, count)(value[1]),
)

/** In an image a layer is meant by its place, and is as old as its history says. */
function stepsOf(
  value: unknown,
  image: ImageConfig,
  { layers }: Pick<Manifest, 'layers'>,
): CacheIndex['steps'] {
  const fault = (why: string) => invalidDocument('inline cache', why)
  if (!isRecord(value) || !Array.isArray(value.steps)) throw fault(`its member ${stepsMember} is malformed`)
  if (image.diffIds.length !== layers.length)
    throw fault('the image config has not as many layers as the manifest')
  const times = layerTimes(image)
  const steps = value.steps.map((step: unknown) => {
    if (!isRecord(step) || !isPlaces(step.layer)) throw fault(`a step of ${stepsMember} is malformed`)
    const made = Math.max(0, ...step.layer.map(([place]) => times[place] ?? 0))
    const layer = step.layer.flatMap(([place, form]) => {
      const found = layers[place]
      return found === undefined ? [] : [[digestHex(found.digest), form]]
    })
    return { ...step, layer, made, took: 0, used: made }
  })
  const described = layers.map((layer, place) => ({
    ...layer,
    annotations: { ...layer.annotations, [diffIdAnnotation]: image.diffIds[place] ?? '' },
  }))
  return stepsFromJson({ ...value, steps }, described)
}

function isPlaces(value: unknown): value is readonly (readonly [place: number, form: number | null])[] {
  return places(value)
}

/** Unix ms of each layer, lowest first. */
function layerTimes({ history }: ImageConfig): readonly number[] {
  return history
    .filter(({ emptyLayer }) => emptyLayer !== true)
    .map(({ created }) => {
      const ms = Date.parse(created ?? '')
      return Number.isNaN(ms) ? 0 : Math.max(0, ms)
    })
}
