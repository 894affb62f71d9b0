import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Digest, digestBytes, digestHex, parseDiffId } from '@tsbuild/digest'
import {
  type Descriptor,
  mediaTypes,
  parsePlatform,
  serializeImageConfig,
  serializeIndex,
  serializeManifest,
} from '@tsbuild/oci'

/** Blobs by digest. */
export type Blobs = Map<Digest, Buffer>

/** An image made by hand, of layers that are no archives: nothing here unpacks one. */
export function makeImage(
  blobs: Blobs,
  layers: readonly string[],
  {
    platform = 'linux/amd64',
    labels = {},
    plain = false,
  }: { readonly platform?: string; readonly labels?: Record<string, string>; readonly plain?: boolean } = {},
): Descriptor {
  const put = (bytes: Buffer, mediaType: string) => putBlob(blobs, bytes, mediaType)
  const config = serializeImageConfig({
    platform: parsePlatform(platform),
    created: '2026-01-01T00:00:00Z',
    config: { cmd: ['sh'], labels },
    diffIds: layers.map((text) => parseDiffId(digestBytes(text))),
    history: layers.map((text) => ({ createdBy: `RUN ${text}` })),
  })
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: put(config, mediaTypes.ociConfig),
    layers: layers.map((text) =>
      plain
        ? put(Buffer.from(text), mediaTypes.ociLayer)
        : put(gzipSync(text, { level: 1 }), mediaTypes.ociLayerGzip),
    ),
    annotations: {},
  })
  return { ...put(manifest, mediaTypes.ociManifest), platform: parsePlatform(platform) }
}

/** Adds bytes to `blobs`. */
export function putBlob(blobs: Blobs, bytes: Buffer, mediaType: string): Descriptor {
  const digest = digestBytes(bytes)
  blobs.set(digest, bytes)
  return { mediaType, digest, size: bytes.length }
}

/** An index of these images, each with a statement about it as BuildKit writes one. */
export function makeIndex(blobs: Blobs, images: readonly Descriptor[], attested = false): Descriptor {
  const statements = images.map((image) => {
    const statement = putBlob(blobs, Buffer.from(JSON.stringify({ about: image.digest })), mediaTypes.inToto)
    const config = putBlob(
      blobs,
      Buffer.from(
        '{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}',
      ),
      mediaTypes.ociConfig,
    )
    const manifest = serializeManifest({
      mediaType: mediaTypes.ociManifest,
      config,
      layers: [statement],
      annotations: {},
    })
    return {
      ...putBlob(blobs, manifest, mediaTypes.ociManifest),
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': image.digest,
      },
    }
  })
  const bytes = serializeIndex({
    mediaType: mediaTypes.ociIndex,
    manifests: attested ? [...images, ...statements] : images,
    annotations: {},
  })
  return putBlob(blobs, bytes, mediaTypes.ociIndex)
}

/** A signature or the like: a manifest about another one. */
export function makeReferrer(blobs: Blobs, subject: Descriptor, text = 'signed'): Descriptor {
  const artifactType = 'application/vnd.test.signature'
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    artifactType,
    config: putBlob(blobs, Buffer.from('{}'), mediaTypes.ociEmpty),
    layers: [putBlob(blobs, Buffer.from(text), 'application/octet-stream')],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
    annotations: {},
  })
  return { ...putBlob(blobs, manifest, mediaTypes.ociManifest), artifactType }
}

/** The files of a layout: path → bytes. */
export function layoutFiles(blobs: Blobs, entries: readonly object[]): Map<string, Buffer> {
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries }
  return new Map([
    ['oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')],
    ['index.json', Buffer.from(JSON.stringify(index))],
    ...[...blobs].map(([digest, bytes]) => [`blobs/sha256/${digestHex(digest)}`, bytes] as const),
  ])
}

/** An entry of `index.json`. */
export function named({ mediaType, digest, size }: Descriptor, name: string): object {
  return { mediaType, digest, size, annotations: { 'org.opencontainers.image.ref.name': name } }
}

/** Writes files below a directory. */
export function writeTree(root: string, files: ReadonlyMap<string, Buffer>): string {
  mkdirSync(join(root, 'blobs/sha256'), { recursive: true })
  for (const [name, bytes] of files) writeFileSync(join(root, name), bytes)
  return root
}
