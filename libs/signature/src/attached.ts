import { type DiffId, type Digest, digestHex } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatReference,
  type ImageReference,
  type Manifest,
  mediaTypes,
  parseManifest,
  serializeManifest,
} from '@tsbuild/oci'
import type { SignaturePlace, StoredManifest, WritableSignaturePlace } from './types.ts'

/** What is kept beside an image: signatures, or signed attestations. */
export type AttachedKind = 'sig' | 'att'

const blobTypes: Readonly<Record<AttachedKind, string>> = {
  sig: 'application/vnd.dev.cosign.simplesigning.v1+json',
  att: 'application/vnd.dsse.envelope.v1+json',
}
/** Beyond this somebody only wants us to work. */
const mostBlobs = 1000

/** One signature or attestation beside an image. */
export interface AttachedBlob {
  /** Of the manifest that names it: a tag, or a digest. */
  readonly reference: ImageReference
  /** With what cosign says about it in the annotations. */
  readonly blob: Descriptor
}

/** Where cosign keeps what is about an image: a tag made of its digest, in the same repository. */
export function attachedTag(image: ImageReference, digest: Digest, kind: AttachedKind): ImageReference {
  const { registry, repository } = image
  return { registry, repository, tag: `sha256-${digestHex(digest)}.${kind}` }
}

/** The media type by which a registry finds the referrers of a kind. */
function artifactTypeOf(kind: AttachedKind): string {
  return `application/vnd.dev.cosign.artifact.${kind}.v1+json`
}

/**
 * Lists what is beside an image: under cosign's tag first, then its referrers. Nothing of it is verified.
 *
 * @throws {UserError} `ERR_SIGNATURE_INVALID` for more than a thousand; `ERR_MANIFEST_INVALID`; what the place throws
 */
export async function listAttached(
  place: SignaturePlace,
  image: ImageReference,
  digest: Digest,
  kind: AttachedKind,
): Promise<readonly AttachedBlob[]> {
  const { registry, repository } = image
  const tag = attachedTag(image, digest, kind)
  const tagged = await place.resolve(tag)
  const found = tagged === undefined ? [] : [{ reference: tag, manifest: tagged }]
  const referrers = await place.referrers({ registry, repository, digest }, artifactTypeOf(kind))
  for (const { digest: referrer } of referrers.slice(0, mostBlobs)) {
    const reference = { registry, repository, digest: referrer }
    const manifest = await place.resolve(reference)
    // A list of referrers is the registry's word; the subject stands in the manifest.
    if (manifest !== undefined && parsed(manifest).subject?.digest === digest)
      found.push({ reference, manifest })
  }
  const blobs = found.flatMap(({ reference, manifest }) =>
    blobsOf(manifest, kind).map((blob) => ({ reference, blob })),
  )
  if (blobs.length > mostBlobs) {
    const name = formatReference({ registry, repository, digest })
    throw new UserError(
      'ERR_SIGNATURE_INVALID',
      `Cannot verify "${name}": it has more than ${mostBlobs} signatures`,
    )
  }
  return blobs
}

/**
 * Puts a signature or an attestation beside an image, after those that are there. Of several that are put at the same moment none
 * is lost: see `updateTag()` of `@tsbuild/registry`.
 *
 * @returns where it is now
 */
export async function attach(
  place: WritableSignaturePlace,
  image: { readonly reference: ImageReference; readonly descriptor: Descriptor },
  added: {
    readonly kind: AttachedKind
    readonly bytes: Uint8Array
    readonly annotations: Readonly<Record<string, string>>
  },
  referrers: boolean,
): Promise<ImageReference> {
  const { kind, bytes, annotations } = added
  const { registry, repository } = image.reference
  const { digest } = image.descriptor
  const blob = await place.putBlob({ registry, repository }, blobTypes[kind], bytes)
  const layer = { mediaType: blobTypes[kind], digest: blob.digest, size: blob.size, annotations }
  if (referrers) {
    const subject = image.descriptor
    const made = await makeManifest(place, { registry, repository }, [layer], { kind, subject })
    const { digest: at } = await place.putManifest({ registry, repository }, made.mediaType, made.bytes)
    return { registry, repository, digest: at }
  }
  const tag = attachedTag(image.reference, digest, kind)
  await attachAll(place, tag, [layer])
  return tag
}

/** What a tag of cosign's holds, in order; nothing where there is none. @throws {UserError} `ERR_MANIFEST_INVALID` */
export async function layersUnder(
  place: Pick<SignaturePlace, 'resolve'>,
  tag: ImageReference,
): Promise<readonly Descriptor[]> {
  const existing = await place.resolve(tag)
  return existing === undefined ? [] : parsed(existing).layers
}

/** Adds blobs, which the place has, to those under a tag of cosign's; what is there already is not repeated. */
export async function attachAll(
  place: WritableSignaturePlace,
  tag: ImageReference,
  layers: readonly Descriptor[],
): Promise<void> {
  await place.updateManifest(tag, async (existing) => {
    const there = existing === undefined ? [] : parsed(existing).layers
    const known = new Set(there.map(identityOf))
    const missing = layers.filter((layer) => !known.has(identityOf(layer)))
    if (missing.length === 0) return undefined
    return await makeManifest(place, tag, [...there, ...missing], undefined)
  })
}

/** Of two signatures for the same words only what stands on the descriptor differs. */
export function identityOf({ digest, annotations = {} }: Descriptor): string {
  return JSON.stringify([digest, Object.entries(annotations).sort()])
}

/** Puts the config of a manifest, and makes the manifest. */
async function makeManifest(
  place: WritableSignaturePlace,
  target: ImageReference,
  layers: readonly Descriptor[],
  artifact: { readonly kind: AttachedKind; readonly subject: Descriptor } | undefined,
): Promise<{ readonly mediaType: string; readonly bytes: Uint8Array }> {
  // Cosign's own form: a config of an image that is none, with the blobs for its layers.
  const type = artifact === undefined ? mediaTypes.ociConfig : artifactTypeOf(artifact.kind)
  const config = await place.putBlob(target, type, configOf(layers.map(({ digest }) => digest)))
  const { mediaType, digest, size } = artifact?.subject ?? config
  const manifest: Manifest = {
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: type, digest: config.digest, size: config.size },
    layers,
    ...(artifact === undefined ? {} : { subject: { mediaType, digest, size } }),
    annotations: {},
  }
  return { mediaType: mediaTypes.ociManifest, bytes: serializeManifest(manifest) }
}

function configOf(digests: readonly Digest[]): Buffer {
  const created = '0001-01-01T00:00:00Z'
  return Buffer.from(
    JSON.stringify({
      architecture: '',
      created,
      history: digests.map(() => ({ created })),
      os: '',
      rootfs: { type: 'layers', diff_ids: digests as readonly string[] as readonly DiffId[] },
      config: {},
    }),
  )
}

function blobsOf(manifest: StoredManifest, kind: AttachedKind): readonly Descriptor[] {
  return parsed(manifest).layers.filter(({ mediaType }) => mediaType === blobTypes[kind])
}

function parsed({ bytes, descriptor }: StoredManifest): Manifest {
  return parseManifest(bytes, descriptor.mediaType)
}
