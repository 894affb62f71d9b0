import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, isAbout, mediaTypes, readAttestations, readStatement } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import { type AttestationParts, attestationManifest } from './attestation-manifest.ts'

const image: Descriptor = {
  mediaType: mediaTypes.ociManifest,
  digest: digestBytes('image'),
  size: 5,
  platform: { os: 'linux', architecture: 'amd64' },
}
const parts: AttestationParts = {
  image,
  platform: { os: 'linux', architecture: 'amd64' },
  names: ['docker.io/library/app:1', 'registry.test/app:1'],
  attestations: [
    { predicateType: 'https://spdx.dev/Document', predicate: { spdxVersion: 'SPDX-2.3' } },
    { predicateType: 'https://slsa.dev/provenance/v1', predicate: { buildDefinition: {} } },
  ],
  ociArtifact: true,
}
const json = (bytes: Uint8Array | undefined) => JSON.parse(Buffer.from(bytes ?? []).toString())

describe('attestationManifest()', () => {
  it('attestationManifest() is an OCI artifact about the image', () => {
    const { descriptor, blobs } = attestationManifest(parts)
    expect(descriptor).toEqual({
      mediaType: mediaTypes.ociManifest,
      digest: expect.stringMatching(/^sha256:/),
      size: blobs.at(-1)?.bytes.length,
      annotations: {
        'vnd.docker.reference.digest': image.digest,
        'vnd.docker.reference.type': 'attestation-manifest',
      },
      platform: { os: 'unknown', architecture: 'unknown' },
    })
    expect(json(blobs.at(-1)?.bytes)).toEqual({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
      config: {
        mediaType: mediaTypes.ociEmpty,
        digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
        size: 2,
      },
      layers: [
        {
          mediaType: 'application/vnd.in-toto+json',
          digest: blobs[0]?.descriptor.digest,
          size: blobs[0]?.bytes.length,
          annotations: { 'in-toto.io/predicate-type': 'https://spdx.dev/Document' },
        },
        expect.objectContaining({
          annotations: { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v1' },
        }),
      ],
      subject: { mediaType: mediaTypes.ociManifest, digest: image.digest, size: 5 },
    })
  })

  it('attestationManifest() has no subject and a config without a platform where it is no artifact', () => {
    const { blobs } = attestationManifest({ ...parts, ociArtifact: false })
    const manifest = json(blobs.at(-1)?.bytes)
    expect(manifest).not.toHaveProperty('subject')
    expect(manifest).not.toHaveProperty('artifactType')
    expect(manifest.config.mediaType).toBe(mediaTypes.ociConfig)
    expect(json(blobs.at(-2)?.bytes)).toEqual({
      architecture: 'unknown',
      os: 'unknown',
      config: {},
      rootfs: { type: 'layers', diff_ids: blobs.slice(0, 2).map((blob) => blob.descriptor.digest) },
    })
  })

  it('attestationManifest() names the image in each statement', () => {
    const { blobs } = attestationManifest(parts)
    const digest = { sha256: image.digest.slice('sha256:'.length) }
    expect(json(blobs[0]?.bytes)).toEqual({
      _type: 'https://in-toto.io/Statement/v0.1',
      predicateType: 'https://spdx.dev/Document',
      subject: [
        { name: 'pkg:docker/app@1?platform=linux%2Famd64', digest },
        { name: 'pkg:docker/registry.test/app@1?platform=linux%2Famd64', digest },
      ],
      predicate: { spdxVersion: 'SPDX-2.3' },
    })
    const nameless = attestationManifest({ ...parts, names: [] })
    expect(json(nameless.blobs[0]?.bytes).subject).toEqual([{ name: '_', digest }])
  })

  it('attestationManifest() throws ERR_OUTPUT for a statement of more than 40 MiB', () => {
    const predicate = { text: 'x'.repeat(40 * 1024 * 1024) }
    const attestations = [{ predicateType: 'https://spdx.dev/Document', predicate }]
    expect(() => attestationManifest({ ...parts, attestations })).toThrow(
      expect.objectContaining({ code: 'ERR_OUTPUT' }),
    )
  })

  it.each([true, false])(
    'readAttestations() reads back what was written, as an artifact: %s',
    async (ociArtifact) => {
      const { descriptor, blobs } = attestationManifest({ ...parts, ociArtifact })
      const bytes = new Map(blobs.map((blob) => [blob.descriptor.digest, blob.bytes]))
      const open = (digest: Descriptor['digest']) => Readable.from([Buffer.from(bytes.get(digest) ?? [])])
      const manifests = [image, descriptor]
      const found = await readAttestations(
        { mediaType: mediaTypes.ociIndex, manifests, annotations: {} },
        open,
      )
      expect(found.map((one) => [one.image, one.predicateType])).toEqual([
        [image.digest, 'https://spdx.dev/Document'],
        [image.digest, 'https://slsa.dev/provenance/v1'],
      ])
      const [first] = found
      const statement = first && (await readStatement(first, open))
      expect(statement?.predicate).toEqual({ spdxVersion: 'SPDX-2.3' })
      expect(statement && isAbout(statement, image.digest)).toBe(true)
      expect(statement && isAbout(statement, digestBytes('other'))).toBe(false)
    },
  )
})
