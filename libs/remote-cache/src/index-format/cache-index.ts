import {
  type CacheManifestForm,
  cacheConfigType,
  parseCacheConfig,
  writeCacheConfig,
  writeCacheManifest,
} from '@tsbuild/buildkit-cache'
import { type Digest, digestBytes } from '@tsbuild/digest'
import type { Descriptor } from '@tsbuild/oci'
import { cacheLayer, compare, stepsFromJson, stepsMember, stepsToJson } from './steps-json.ts'
import type { CacheIndex } from './types.ts'

/** The documents of a cache, as they lie in a registry or a directory. */
export interface CacheDocuments {
  readonly manifest: Document
  readonly config: Document
  /** Every blob that they name, each once. */
  readonly layers: readonly Descriptor[]
}

/** A document with its bytes. */
export interface Document {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/**
 * Reads the config of a cache.
 *
 * @param bytes untrusted; of at most 4 MiB
 * @param layers of the manifest that names the config
 * @throws {UserError} `ERR_MANIFEST_INVALID`
 */
export function parseCacheIndex(bytes: Uint8Array, layers: readonly Descriptor[]): CacheIndex {
  const { config, members } = parseCacheConfig(bytes, layers)
  const { [stepsMember]: steps, ...others } = members
  return { buildkit: config, steps: stepsFromJson(steps, layers), others }
}

/** Writes a cache. What says the same gives the same bytes. */
export function writeCacheIndex(
  { buildkit, steps, others }: CacheIndex,
  form: CacheManifestForm,
): CacheDocuments {
  const ours = steps.length === 0 ? {} : { [stepsMember]: stepsToJson(steps) }
  const written = writeCacheConfig(buildkit, { ...others, ...ours })
  const config = document(cacheConfigType, written.bytes)
  const layers = withStepLayers(written.layers, steps)
  const manifest = writeCacheManifest({ config: config.descriptor, layers }, form)
  return { manifest: document(manifest.mediaType, manifest.bytes), config, layers }
}

/** The blobs of BuildKit's records, and those of our steps that are not among them. */
function withStepLayers(layers: readonly Descriptor[], steps: CacheIndex['steps']): readonly Descriptor[] {
  const all = new Map<Digest, Descriptor>(layers.map((layer) => [layer.digest, layer]))
  const ours = new Map<Digest, Descriptor>()
  for (const step of steps) {
    for (const blob of step.layer) {
      const known = all.get(blob.digest)
      const said = cacheLayer(blob, step.createdAt)
      // What a record of BuildKit's says of it stands; it may not have said all.
      if (known !== undefined)
        all.set(blob.digest, { ...known, annotations: { ...said.annotations, ...known.annotations } })
      else if (isEarlier(said, ours.get(blob.digest))) ours.set(blob.digest, said)
    }
  }
  return [...all.values(), ...[...ours.values()].sort((a, b) => compare(a.digest, b.digest))]
}

/** Of two steps with one blob the one that made it first. */
function isEarlier({ annotations = {} }: Descriptor, known: Descriptor | undefined): boolean {
  return known === undefined || JSON.stringify(annotations) < JSON.stringify(known.annotations ?? {})
}

function document(mediaType: string, bytes: Uint8Array): Document {
  return { descriptor: { mediaType, digest: digestBytes(bytes), size: bytes.byteLength }, bytes }
}
