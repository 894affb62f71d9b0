import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { readAttestations, readStatement } from './attestations.ts'
import { serializeManifest } from './manifest.ts'
import { mediaTypes } from './media-types.ts'
import type { Descriptor } from './types.ts'

function stored(bytes: Uint8Array, mediaType: string, more: Partial<Descriptor> = {}) {
  const descriptor: Descriptor = { mediaType, digest: digestBytes(bytes), size: bytes.length, ...more }
  return { descriptor, open: () => Readable.from([bytes]) }
}

function statementOf(text: string, size?: number) {
  const { descriptor, open } = stored(Buffer.from(text), mediaTypes.inToto)
  const statement = size === undefined ? descriptor : { ...descriptor, size }
  return { attestation: { image: undefined, predicateType: '', statement, manifest: descriptor }, open }
}

describe('readAttestations()', () => {
  it('readAttestations() passes over what is no manifest of attestations, and layers of other types', async () => {
    const layer = stored(Buffer.from('x'), mediaTypes.ociLayer).descriptor
    const config = stored(Buffer.from('{}'), mediaTypes.ociEmpty).descriptor
    const bytes = serializeManifest({
      mediaType: mediaTypes.ociManifest,
      config,
      layers: [layer],
      annotations: {},
    })
    const annotations = {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': 'x',
    }
    const other = stored(bytes, mediaTypes.ociManifest)
    const { descriptor, open } = stored(bytes, mediaTypes.ociManifest, { annotations })
    const index = {
      mediaType: mediaTypes.ociIndex,
      manifests: [other.descriptor, descriptor],
      annotations: {},
    }
    expect(await readAttestations(index, open)).toEqual([])
  })
})

describe('readStatement()', () => {
  it.each([
    'no JSON',
    '[]',
    '{}',
    '{"_type":1,"predicateType":"","subject":[]}',
    '{"_type":"","predicateType":"","subject":{}}',
    '{"_type":"","predicateType":"","subject":[1]}',
    '{"_type":"","predicateType":"","subject":[{"name":"_","digest":{"sha256":1}}]}',
  ])('readStatement() throws ERR_MANIFEST_INVALID for %s', async (text) => {
    const { attestation, open } = statementOf(text)
    await expect(readStatement(attestation, open)).rejects.toMatchObject({ code: 'ERR_MANIFEST_INVALID' })
  })

  it('readStatement() throws ERR_MANIFEST_INVALID for more than 40 MiB, before it opens anything', async () => {
    const { attestation } = statementOf('{}', 40 * 1024 * 1024 + 1)
    const open = () => {
      throw new Error('opened')
    }
    await expect(readStatement(attestation, open)).rejects.toMatchObject({ code: 'ERR_MANIFEST_INVALID' })
  })

  it('readStatement() throws ERR_DIGEST_MISMATCH for other bytes', async () => {
    const { attestation } = statementOf('{"a":1}')
    const open = () => Readable.from([Buffer.from('{"a":2}')])
    await expect(readStatement(attestation, open)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
  })
})
