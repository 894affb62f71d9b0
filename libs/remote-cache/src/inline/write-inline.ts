import { type CacheConfig, inlineCacheMember, writeInlineCache } from '@tsbuild/buildkit-cache'
import { type DiffId, type Digest, digestHex } from '@tsbuild/digest'
import type { LayerRef } from '@tsbuild/snapshot'
import type { StoredForm } from '@tsbuild/store'
import { compare, stepsMember } from '../index-format/steps-json.ts'
import type { ExportedStep } from '../types.ts'

/** A layer of an image that is being made. */
export interface InlineLayer {
  readonly ref: LayerRef
  /** Of its blob. */
  readonly digest: Digest
  readonly diffId: DiffId
}

/**
 * The members of an image config that say under which keys the layers of the image are found: BuildKit's, and ours. No time is in
 * them, so that what is reproducible stays so; and nothing of the form of a layer, unless its times were changed: an image has one
 * config whatever its layers are compressed with.
 *
 * @param layers of the image, lowest first
 * @param steps of the build, in any order
 * @param buildkit BuildKit's records of the build
 * @returns empty where no layer is of a step
 */
export function inlineCacheMembers(
  layers: readonly InlineLayer[],
  steps: readonly ExportedStep[],
  buildkit: CacheConfig,
): Readonly<Record<string, unknown>> {
  const records = writeInlineCache(buildkit, layers)
  const ours = inlineSteps(layers, steps)
  return {
    ...(records === undefined ? {} : { [inlineCacheMember]: records }),
    ...(ours === undefined ? {} : { [stepsMember]: ours }),
  }
}

function inlineSteps(layers: readonly InlineLayer[], steps: readonly ExportedStep[]): object | undefined {
  const placeOf = new Map(layers.map(({ ref }, place) => [layerName(ref), place]))
  const forms: StoredForm[] = []
  const written = steps.flatMap((step) => {
    const own = step.layers.at(-1)
    const place = own === undefined ? undefined : placeOf.get(layerName(own))
    if (place === undefined) return []
    const { outputKey, name } = step.record
    return [
      {
        keys: step.keys.map(digestHex).sort(),
        output: digestHex(outputKey),
        name: name.slice(0, maxNameLength),
        layer: [[place, clampedForm(step, forms)]],
      },
    ]
  })
  if (written.length === 0) return undefined
  return { forms, steps: written.sort((a, b) => compare(a.keys.join(), b.keys.join())) }
}

const maxNameLength = 120

/** The place of the form in the list, where its times are not those that the step left. */
function clampedForm({ clamped }: ExportedStep, forms: StoredForm[]): number | null {
  if (clamped === undefined) return null
  const { format, level } = clamped.compression
  const { clampMtime } = clamped
  const known = forms.findIndex(
    (form) => form.format === format && form.level === level && form.clampMtime === clampMtime,
  )
  return known >= 0 ? known : forms.push({ format, level, clampMtime }) - 1
}

function layerName(layer: LayerRef): string {
  switch (layer.kind) {
    case 'snapshot':
      return `snapshot ${layer.id}`
    case 'image':
      return `image ${layer.digest}`
    case 'cached':
      return `cached ${layer.blobs.map(({ digest }) => digest).join()}`
  }
}
