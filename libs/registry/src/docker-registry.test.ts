import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { dockerConfigCredentials } from './docker-config.ts'
import { hasDockerRegistry, type RealRegistry, startDockerRegistry } from './testing/docker-registry.ts'
import { memorySink } from './testing/memory-sink.ts'
import type { RegistryClient } from './types.ts'

const blobOf = (bytes: Buffer, mediaType: string = mediaTypes.ociLayer) => ({
  bytes,
  descriptor: { mediaType, digest: digestBytes(bytes), size: bytes.length } satisfies Descriptor,
  open: (offset: number) => Readable.from([bytes.subarray(offset)]),
})

describe.skipIf(!hasDockerRegistry())('createRegistryClient() with docker-registry', () => {
  let registry: RealRegistry
  let client: RegistryClient
  beforeAll(async () => {
    registry = await startDockerRegistry()
    client = createRegistryClient()
  })
  afterAll(async () => {
    await client.close()
    await registry.stop()
  })

  const small = blobOf(Buffer.from('{"architecture":"amd64","os":"linux"}'), mediaTypes.ociConfig)
  const large = blobOf(randomBytes(3 * 1024 * 1024))
  const empty = blobOf(Buffer.alloc(0))
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: small.descriptor,
    layers: [large.descriptor, empty.descriptor],
    annotations: {},
  })

  it('uploadBlob() and putManifest() push an image that resolve() and downloadBlob() pull again', async () => {
    const reference = parseReference(`${registry.host}/team/app:1.0`)
    for (const blob of [small, large, empty]) {
      expect(await client.uploadBlob(reference, blob.descriptor, blob.open)).toBe('uploaded')
    }
    const pushed = await client.putManifest(reference, manifest, mediaTypes.ociManifest)
    const resolved = await client.resolve(reference)
    expect(resolved).toEqual({ descriptor: pushed, bytes: manifest })
    expect(await client.resolveDescriptor(reference)).toEqual(pushed)
    expect((await client.resolve({ ...reference, tag: undefined, digest: pushed.digest })).bytes).toEqual(
      manifest,
    )
    for (const blob of [small, large, empty]) {
      const sink = memorySink()
      await client.downloadBlob(reference, blob.descriptor, sink)
      expect(sink.bytes().equals(blob.bytes)).toBe(true)
    }
  })

  it('uploadBlob() sends nothing when the registry has the blob, and mounts it from another repository', async () => {
    const reference = parseReference(`${registry.host}/team/app:1.0`)
    const unread = () => {
      throw new Error('the blob was read')
    }
    expect(await client.uploadBlob(reference, large.descriptor, unread)).toBe('exists')
    const other = parseReference(`${registry.host}/team/other:1.0`)
    expect(await client.uploadBlob(other, large.descriptor, unread, { mountFrom: ['team/app'] })).toBe(
      'mounted',
    )
    expect(await client.hasBlob(other, large.descriptor)).toBe(true)
  })

  it('fetchBlob() opens a blob at an offset', async () => {
    const reference = parseReference(`${registry.host}/team/app:1.0`)
    const body = await client.fetchBlob(reference, large.descriptor, { offset: large.bytes.length - 5 })
    expect(Buffer.concat(await body.toArray())).toEqual(large.bytes.subarray(-5))
  })

  it('resolve() says which image the registry does not have', async () => {
    const reference = parseReference(`${registry.host}/team/app:missing`)
    await expect(client.resolve(reference)).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: expect.stringContaining(`${registry.host}/team/app:missing`),
    })
    expect(await client.resolveDescriptor(reference)).toBeUndefined()
  })

  it('putManifest() says what is missing when a blob is', async () => {
    const reference = parseReference(`${registry.host}/team/empty:1`)
    await expect(client.putManifest(reference, manifest, mediaTypes.ociManifest)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_STATUS',
      details: { status: 400, codes: expect.arrayContaining(['MANIFEST_BLOB_UNKNOWN']) },
    })
  })

  it('uploadBlob() refuses to store bytes under another digest', async () => {
    const reference = parseReference(`${registry.host}/team/app:1.0`)
    const wrong = { ...large.descriptor, digest: digestBytes('other') }
    const outcome = createRegistryClient({ sleep: async () => undefined }).uploadBlob(
      reference,
      wrong,
      large.open,
    )
    await expect(outcome).rejects.toMatchObject({
      code: 'ERR_REGISTRY_STATUS',
      details: { codes: ['DIGEST_INVALID'] },
    })
  })
})

// The user `me` with the password `secret`, hashed with bcrypt.
const htpasswd = 'me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n'

describe.skipIf(!hasDockerRegistry())(
  'createRegistryClient() with docker-registry that wants a password',
  () => {
    let registry: RealRegistry
    beforeAll(async () => {
      registry = await startDockerRegistry({ htpasswd })
    })
    afterAll(() => registry.stop())

    const blob = blobOf(randomBytes(2 * 1024 * 1024))
    const configOf = (password: string) =>
      JSON.stringify({
        auths: { [registry.host]: { auth: Buffer.from(`me:${password}`).toString('base64') } },
      })

    it("uploadBlob() pushes with the password of Docker's configuration", async () => {
      const client = createRegistryClient({ credentials: dockerConfigCredentials(configOf('secret')) })
      const reference = parseReference(`${registry.host}/private/app:1`)
      expect(await client.uploadBlob(reference, blob.descriptor, blob.open)).toBe('uploaded')
      const sink = memorySink()
      await client.downloadBlob(reference, blob.descriptor, sink)
      expect(sink.bytes().equals(blob.bytes)).toBe(true)
      await client.close()
    })

    it.each([
      ['without a password', undefined],
      ['with the wrong one', 'wrong'],
    ])('resolve() is refused %s', async (_, password) => {
      const credentials = password === undefined ? undefined : dockerConfigCredentials(configOf(password))
      const client = createRegistryClient({ credentials })
      const reference = parseReference(`${registry.host}/private/app:1`)
      await expect(client.resolve(reference)).rejects.toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
      await client.close()
    })
  },
)
