import { digestBytes, digestHex } from '@tsbuild/digest'
import { InternalError, UserError } from '@tsbuild/errors'
import {
  attestationManifestType,
  type Descriptor,
  imagePackageUrl,
  maxStatementBytes,
  mediaTypes,
  type Platform,
  predicateTypeAnnotation,
  serializeManifest,
} from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import { putDocument } from './documents.ts'
import type { AssembledImage, Attestation, ExportContext } from './types.ts'

/** What an attestation manifest is made from. */
export interface AttestationParts {
  /** The image manifest that it is about. */
  readonly image: Descriptor
  readonly platform: Platform
  /** What the image is called, in full form; may be empty. */
  readonly names: readonly string[]
  readonly attestations: readonly Attestation[]
  /** An OCI artifact with a subject, which registries list among the referrers of the image; else BuildKit's older form. */
  readonly ociArtifact: boolean
}

/** A manifest of attestations. Nothing of it is stored yet. */
export interface AttestationManifest {
  /** As it stands in an index: of no platform, so that nobody runs it. */
  readonly descriptor: Descriptor
  /** Every blob with its bytes, the manifest last. */
  readonly blobs: readonly { readonly descriptor: Descriptor; readonly bytes: Uint8Array }[]
}

/**
 * Puts in-toto statements about one image into a manifest. The same input gives the same bytes.
 *
 * @throws {UserError} `ERR_OUTPUT` for a statement of more than 40 MiB
 * @see spec/interface.md 5.2; docs/adr/0027
 */
export function attestationManifest(parts: AttestationParts): AttestationManifest {
  const statements = parts.attestations.map((attestation) => {
    const bytes = statementOf(attestation, parts)
    const descriptor: Descriptor = {
      mediaType: mediaTypes.inToto,
      digest: digestBytes(bytes),
      size: bytes.length,
      annotations: { [predicateTypeAnnotation]: attestation.predicateType },
    }
    return { descriptor, bytes }
  })
  const layers = statements.map(({ descriptor }) => descriptor)
  const config = parts.ociArtifact ? emptyConfig() : platformlessConfig(layers)
  const { mediaType, digest, size } = parts.image
  const bytes = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: config.descriptor,
    layers,
    annotations: {},
    ...(parts.ociArtifact
      ? { artifactType: attestationManifestType, subject: { mediaType, digest, size } }
      : {}),
  })
  const descriptor: Descriptor = {
    mediaType: mediaTypes.ociManifest,
    digest: digestBytes(bytes),
    size: bytes.length,
    annotations: {
      'vnd.docker.reference.digest': digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    },
    platform: { os: 'unknown', architecture: 'unknown' },
  }
  return { descriptor, blobs: [...statements, config, { descriptor, bytes }] }
}

/** Stores a manifest of attestations, and gives it in the form in which an index and a push take it. */
export async function storeAttestations(
  store: Store,
  { descriptor, blobs }: AttestationManifest,
  { vertex, events, now }: ExportContext,
): Promise<AssembledImage> {
  for (const { descriptor: blob, bytes } of blobs) await putDocument(store, blob.mediaType, bytes)
  const id = `exporting attestation manifest ${descriptor.digest}`
  events({ type: 'vertex.status', vertex, id, currentBytes: 0, totalBytes: null, done: true, at: now() })
  const [manifest, config] = [blobs.at(-1), blobs.at(-2)]
  if (manifest === undefined || config === undefined)
    throw new InternalError('ERR_INTERNAL', 'an attestation manifest has no config')
  return {
    manifest: descriptor,
    manifestBytes: manifest.bytes,
    config: config.descriptor,
    layers: blobs.slice(0, -2).map((blob) => ({ descriptor: blob.descriptor, origin: undefined })),
  }
}

function statementOf(attestation: Attestation, parts: AttestationParts): Buffer {
  const digest = { sha256: digestHex(parts.image.digest) }
  const names = [...new Set(parts.names.map((name) => imagePackageUrl(name, parts.platform)))]
  // An image without a name is not one without a subject.
  const subjects = (names.length === 0 ? ['_'] : names).map((name) => ({ name, digest }))
  return serializeStatement(attestation, subjects)
}

/**
 * The bytes of an in-toto statement. As BuildKit does, v0.1: readers of v1 take it too.
 *
 * @throws {UserError} `ERR_OUTPUT` for one of more than 40 MiB
 */
export function serializeStatement(
  { predicateType, predicate }: Attestation,
  subject: readonly { readonly name: string; readonly digest: Readonly<Record<string, string>> }[],
): Buffer {
  const _type = 'https://in-toto.io/Statement/v0.1'
  const bytes = Buffer.from(JSON.stringify({ _type, predicateType, subject, predicate }))
  if (bytes.length > maxStatementBytes) {
    const limit = `${maxStatementBytes / 1024 / 1024} MiB`
    const message = `Cannot write the attestation "${predicateType}": it has ${bytes.length} bytes, and at most ${limit} are read by anyone`
    throw new UserError('ERR_OUTPUT', message)
  }
  return bytes
}

function emptyConfig() {
  const bytes = Buffer.from('{}')
  return {
    descriptor: { mediaType: mediaTypes.ociEmpty, digest: digestBytes(bytes), size: bytes.length },
    bytes,
  }
}

/** The config of an image that is for no machine; what reads the older form looks for it. */
function platformlessConfig(layers: readonly Descriptor[]) {
  const bytes = Buffer.from(
    JSON.stringify({
      architecture: 'unknown',
      os: 'unknown',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    }),
  )
  return {
    descriptor: { mediaType: mediaTypes.ociConfig, digest: digestBytes(bytes), size: bytes.length },
    bytes,
  }
}
