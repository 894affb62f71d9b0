import { type Digest, digestBytes } from '@tsbuild/digest'
import {
  type Descriptor,
  formatReference,
  type ImageReference,
  mediaTypes,
  parseManifest,
  serializeIndex,
  serializeManifest,
} from '@tsbuild/oci'
import type { WritableSignaturePlace } from '../types.ts'

/** A registry in memory, whose bytes a test may change. */
export interface MemoryPlace extends WritableSignaturePlace {
  /** `registry/repository:tag` or `@digest` → bytes. */
  readonly manifests: Map<string, Buffer>
  readonly blobs: Map<string, Buffer>
  /** Puts a small image there. The text makes its digest. */
  readonly putImage: (reference: ImageReference, text: string) => Promise<Descriptor>
  /** Puts an index of images there. */
  readonly putIndex: (reference: ImageReference, images: readonly Descriptor[]) => Promise<Descriptor>
}

/** Makes an empty one. A blob is given as it is there; like a registry's it may be another than its digest says. */
export function memoryPlace(): MemoryPlace {
  const manifests = new Map<string, Buffer>()
  const blobs = new Map<string, Buffer>()
  const place: MemoryPlace = {
    manifests,
    blobs,
    async resolve(reference) {
      const bytes = manifests.get(
        formatReference({ ...reference, ...(reference.digest && { tag: undefined }) }),
      )
      if (bytes === undefined) return undefined
      const { mediaType = mediaTypes.ociManifest } = JSON.parse(bytes.toString())
      return { bytes, descriptor: { mediaType, digest: digestBytes(bytes), size: bytes.length } }
    },
    async read(_reference, { digest }) {
      const bytes = blobs.get(digest)
      if (bytes !== undefined && digestBytes(bytes) === digest) return bytes
      throw Object.assign(new Error('not what was wanted'), { kind: 'user', code: 'ERR_DIGEST_MISMATCH' })
    },
    async referrers({ registry, repository, digest: subject }, artifactType) {
      const repositoryName = formatReference({ registry, repository })
      return [...manifests].flatMap(([name, bytes]) => {
        if (!name.startsWith(`${repositoryName}@`) || !bytes.includes('"layers"')) return []
        const manifest = parseManifest(bytes)
        if (manifest.subject?.digest !== subject || manifest.config.mediaType !== artifactType) return []
        return [{ mediaType: manifest.mediaType, digest: digestBytes(bytes), size: bytes.length }]
      })
    },
    async putBlob(_reference, mediaType, bytes) {
      const digest = digestBytes(bytes)
      blobs.set(digest, Buffer.from(bytes))
      return { mediaType, digest, size: bytes.length }
    },
    async putManifest(reference, mediaType, bytes) {
      const digest = digestBytes(bytes)
      const { registry, repository, tag } = reference
      manifests.set(formatReference({ registry, repository, digest }), Buffer.from(bytes))
      if (tag !== undefined) manifests.set(formatReference({ registry, repository, tag }), Buffer.from(bytes))
      return { mediaType, digest, size: bytes.length }
    },
    async updateManifest(tag, change) {
      const wanted = await change(await place.resolve(tag))
      if (wanted !== undefined) await place.putManifest(tag, wanted.mediaType, wanted.bytes)
    },
    async putImage(reference, text) {
      const config = await place.putBlob(
        reference,
        mediaTypes.ociConfig,
        Buffer.from(JSON.stringify({ text })),
      )
      const manifest = { mediaType: mediaTypes.ociManifest, config, layers: [], annotations: {} }
      return await place.putManifest(reference, mediaTypes.ociManifest, serializeManifest(manifest))
    },
    async putIndex(reference, images) {
      const index = { mediaType: mediaTypes.ociIndex, manifests: images, annotations: {} }
      return await place.putManifest(reference, mediaTypes.ociIndex, serializeIndex(index))
    },
  }
  return place
}

/** What cosign made, as `testdata` has it. */
export interface CosignFixture {
  readonly repository: string
  readonly digest: Digest
  readonly manifests: Readonly<Record<string, string>>
  readonly blobs: Readonly<Record<string, string>>
  /** The password of the private ones is `pw`. */
  readonly keys: Readonly<Record<string, string>>
}

/** A place with what cosign made. */
export function placeOf({ repository, manifests, blobs }: CosignFixture): MemoryPlace {
  const place = memoryPlace()
  for (const [reference, text] of Object.entries(manifests)) {
    const separator = reference.startsWith('sha256:') ? '@' : ':'
    place.manifests.set(`${repository}${separator}${reference}`, Buffer.from(text))
  }
  for (const [digest, text] of Object.entries(blobs)) place.blobs.set(digest, Buffer.from(text))
  return place
}
