import { type Digest, digestFromHex, digestHex, isDigest, parseDiffId } from '@tsbuild/digest'
import { type Descriptor, invalidDocument } from '@tsbuild/oci'
import { count, either, integer, listOf, nothing, objectOf, type Shape, text, unixMs } from '@tsbuild/shape'
import { knownFormat, layerMediaType } from '@tsbuild/snapshot'
import type { StoredForm, StoredLayer } from '@tsbuild/store'
import type { IndexedStep } from './types.ts'

/*
 * Our member of a cache config. Digests are written without their algorithm, and blobs are named and not described: their
 * descriptors are those of the manifest. BuildKit reads no config of more than 1 MiB, so what is written is short.
 *
 *   "tsbuild.v1": {
 *     "forms": [{"format":"gzip","level":6,"clampMtime":null}],
 *     "steps": [{"keys":[<hex>…],"output":<hex>,"name":"[2/3] RUN make","layer":[[<hex of a blob>,<place of a form, or null>]…],
 *                "made":<Unix ms>,"took":<ms>,"used":<Unix ms>}]
 *   }
 */

/** The member of a cache config that is ours. */
export const stepsMember = 'tsbuild.v1'

/** The annotation of a layer that has its diffID. */
export const diffIdAnnotation = 'containerd.io/uncompressed'

/** Characters of a name: a RUN may hold a whole script. */
const maxNameLength = 120
/** Of one step. */
const maxKeys = 16
const maxBlobs = 16

const hex: Shape = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

const shape = objectOf({
  forms: listOf(objectOf({ format: text, level: count, clampMtime: either(nothing, integer) })),
  steps: listOf(
    objectOf({
      keys: listOf(hex),
      output: hex,
      name: text,
      layer: listOf((value) => Array.isArray(value) && hex(value[0]) && either(nothing, count)(value[1])),
      made: unixMs,
      took: count,
      used: unixMs,
    }),
  ),
})

interface WrittenSteps {
  readonly forms: readonly StoredForm[]
  readonly steps: readonly WrittenStep[]
}

interface WrittenStep {
  readonly keys: readonly string[]
  readonly output: string
  readonly name: string
  readonly layer: readonly (readonly [blob: string, form: number | null])[]
  readonly made: number
  readonly took: number
  readonly used: number
}

/** The value of {@link stepsMember}. The same steps give the same value, in whatever order they are. */
export function stepsToJson(steps: readonly IndexedStep[]): object {
  const forms: StoredForm[] = []
  const places = new Map<string, number>()
  const placeOf = (form: StoredForm | undefined): number | null => {
    if (form === undefined) return null
    const { format, level, clampMtime } = form
    const name = `${format} ${level} ${clampMtime}`
    const place = places.get(name) ?? forms.push({ format, level, clampMtime }) - 1
    places.set(name, place)
    return place
  }
  const sorted = steps
    .map((step) => ({ ...step, keys: step.keys.toSorted() }))
    .sort((a, b) => compare(a.keys.join(), b.keys.join()) || compare(a.outputKey, b.outputKey))
  const written = sorted.map((step): WrittenStep => {
    const { keys, outputKey, name, createdAt, durationMs, usedAt } = step
    const blobs = step.layer.toSorted((a, b) => compare(a.digest, b.digest)).slice(0, maxBlobs)
    return {
      keys: keys.slice(0, maxKeys).map(digestHex),
      output: digestHex(outputKey),
      name: name.slice(0, maxNameLength),
      layer: blobs.map(({ digest, form }) => [digestHex(digest), placeOf(form)]),
      made: Math.max(0, Math.round(createdAt)),
      took: Math.max(0, Math.round(durationMs)),
      used: Math.max(0, Math.round(usedAt)),
    }
  })
  return { forms, steps: written }
}

/**
 * Reads {@link stepsMember}. A step without a layer that the manifest describes is left out: its bytes could not be had.
 *
 * @param value untrusted; undefined where there is none
 * @param layers of the manifest, with their diffIDs
 * @throws {UserError} `ERR_MANIFEST_INVALID` if it is something else
 */
export function stepsFromJson(value: unknown, layers: readonly Descriptor[]): readonly IndexedStep[] {
  if (value === undefined) return []
  if (!isSteps(value)) throw invalidDocument('cache index', `its member ${stepsMember} is malformed`)
  const described = new Map(layers.map((layer) => [layer.digest, layer]))
  return value.steps.flatMap((step): IndexedStep[] => {
    if (step.keys.length === 0 || step.keys.length > maxKeys || step.layer.length > maxBlobs)
      throw invalidDocument('cache index', 'a step has no key, or too many keys or blobs')
    const layer = step.layer.flatMap(([blob, form]) =>
      storedLayer(described.get(digestFromHex(blob)), form === null ? undefined : value.forms[form]),
    )
    if (layer.length === 0) return []
    const { name, made, took, used } = step
    const keys = step.keys.map(digestFromHex)
    const outputKey = digestFromHex(step.output)
    return [
      {
        keys,
        outputKey,
        name: name.slice(0, maxNameLength),
        layer,
        createdAt: made,
        durationMs: took,
        usedAt: used,
      },
    ]
  })
}

function isSteps(value: unknown): value is WrittenSteps {
  return shape(value)
}

/** Under OCI's name: in an index of Docker's types it had Docker's. None where its diffID is not known, or it is of no type of a layer. */
export function storedLayer(descriptor: Descriptor | undefined, form: StoredForm | undefined): StoredLayer[] {
  const diffId = descriptor?.annotations?.[diffIdAnnotation]
  if (descriptor === undefined || diffId === undefined || !isDigest(diffId)) return []
  const { mediaType, digest, size, annotations } = descriptor
  const format = knownFormat(mediaType)
  if (format === undefined) return []
  const others = Object.entries(annotations ?? {}).filter(([name]) => !cacheAnnotations.has(name))
  return [
    {
      mediaType: layerMediaType(format),
      digest,
      size,
      ...(others.length === 0 ? {} : { annotations: Object.fromEntries(others) }),
      diffId: parseDiffId(diffId),
      form,
    },
  ]
}

/** The annotation of a layer that has the time of its step. */
const createdAnnotation = 'buildkit/createdat'

/** What a cache says of a layer, and an image does not. */
const cacheAnnotations: ReadonlySet<string> = new Set([diffIdAnnotation, createdAnnotation])

/** The descriptor of a step's blob in a manifest of a cache. */
export function cacheLayer(
  { mediaType, digest, size, annotations, diffId }: StoredLayer,
  createdAt: number,
): Descriptor {
  const said = {
    ...annotations,
    [createdAnnotation]: new Date(createdAt).toISOString(),
    [diffIdAnnotation]: diffId,
  }
  return { mediaType, digest, size, annotations: said }
}

/** Order of texts, by their code units. */
export function compare(a: string | Digest, b: string | Digest): number {
  return a === b ? 0 : a < b ? -1 : 1
}
