import { inlineCacheMember, writeInlineCache } from '@tsbuild/buildkit-cache'
import { type DiffId, type Digest, digestHex } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import { type LayerRef, storedForm } from '@tsbuild/snapshot'
import { isSameForm, type StoredForm, type StoredLayer } from '@tsbuild/store'
import { buildkitPartOf } from '../buildkit-part.ts'
import { compare, stepsMember } from '../index-format/steps-json.ts'
import type { BuildkitFacts, ExportedStep, FinishedBuild } from '../types.ts'

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
 * @param facts see `OpenTools.buildkit`
 * @returns empty where no layer is of a step
 */
export async function inlineCacheMembers(
  { graph, steps }: FinishedBuild,
  layers: readonly InlineLayer[],
  facts: () => BuildkitFacts | undefined,
): Promise<Readonly<Record<string, unknown>>> {
  const blobs = new Map(layers.map((layer) => [layerName(layer.ref), blobOf(layer)]))
  const inImage = steps.filter((step) => step.layers.every((layer) => blobs.has(layerName(layer))))
  const buildkit = await buildkitPartOf(facts, true)({ graph, steps: inImage }, async (layer) => {
    const blob = blobs.get(layerName(layer))
    if (blob === undefined) throw new InternalError('ERR_INTERNAL', 'a layer is not in the image')
    return blob
  })
  const records = writeInlineCache(buildkit, layers)
  const ours = inlineSteps(layers, steps)
  return {
    ...(records === undefined ? {} : { [inlineCacheMember]: records }),
    ...(ours === undefined ? {} : { [stepsMember]: ours }),
  }
}

/** Its digest is all that counts here. */
function blobOf({ digest, diffId }: InlineLayer): StoredLayer {
  return { mediaType: '', digest, size: 0, diffId, form: undefined }
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
  const written = storedForm(clamped)
  const known = forms.findIndex((form) => isSameForm(form, written))
  return known >= 0 ? known : forms.push(written) - 1
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
