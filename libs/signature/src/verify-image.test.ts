import { type Digest, digestBytes } from '@tsbuild/digest'
import { type ImageReference, parseManifest, parseReference, serializeManifest } from '@tsbuild/oci'
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { attachedTag } from './attached.ts'
import { attestImage } from './attest-image.ts'
import { copyAttached } from './copy-attached.ts'
import { generateSigningKeyPair, publicHalf, readSigningKey } from './keys.ts'
import { signImage } from './sign-image.ts'
import { type MemoryPlace, memoryPlace } from './testing/index.ts'
import type { SigningKey, VerifyingKey } from './types.ts'
import { verifyAttestation } from './verify-attestation.ts'
import { verifyImage } from './verify-image.ts'

const image = parseReference('localhost:5000/app:1')
const makeKey = async () =>
  await readSigningKey((await generateSigningKeyPair('pw')).privateKey, 'k', async () => 'pw')

let mine: SigningKey
let other: SigningKey
let key: VerifyingKey
let place: MemoryPlace
let digest: Digest
beforeAll(async () => {
  ;[mine, other] = await Promise.all([makeKey(), makeKey()])
  key = publicHalf(mine)
})
beforeEach(async () => {
  place = memoryPlace()
  digest = (await place.putImage(image, 'first')).digest
})

/** The manifest of the signatures of an image. */
const signatureTag = (of: Digest = digest) => attachedTag(image, of, 'sig')

/** Changes the manifest of signatures. */
async function changeSignatures(change: (layers: Record<string, unknown>[]) => Record<string, unknown>[]) {
  const found = await place.resolve(signatureTag())
  const manifest = JSON.parse(Buffer.from(found?.bytes ?? '').toString())
  manifest.layers = change(manifest.layers)
  await place.putManifest(signatureTag(), manifest.mediaType, Buffer.from(JSON.stringify(manifest)))
}

describe('signImage()', () => {
  it('adds to the signatures that are there, and repeats none', async () => {
    const [first] = await signImage(place, image, { key: mine })
    expect(first).toEqual({ digest, place: signatureTag(), added: true })
    expect(await signImage(place, image, { key: mine })).toEqual([
      { digest, place: signatureTag(), added: false },
    ])
    await signImage(place, image, { key: other })
    await signImage(place, image, { key: mine, annotations: { a: 'b' } })
    const stored = await place.resolve(signatureTag())
    expect(parseManifest(stored?.bytes ?? Buffer.alloc(0)).layers).toHaveLength(3)
    expect((await verifyImage(place, image, { key })).signatures).toHaveLength(2)
    expect((await verifyImage(place, image, { key: publicHalf(other) })).signatures).toHaveLength(1)
  })

  it('signs the images of an index only where that is asked for', async () => {
    const images = [
      await place.putImage({ ...image, tag: 'a' }, 'a'),
      await place.putImage({ ...image, tag: 'b' }, 'b'),
    ]
    const several = { ...image, tag: 'several' }
    await place.putIndex(several, images)
    expect(await signImage(place, several, { key: mine })).toHaveLength(1)
    await expect(verifyImage(place, { ...image, tag: 'a' }, { key })).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_MISSING',
    })
    const signed = await signImage(place, several, { key: mine, recursive: true })
    expect(signed.map(({ added }) => added)).toEqual([false, true, true])
    await expect(verifyImage(place, { ...image, tag: 'b' }, { key })).resolves.toMatchObject({
      digest: images[1]?.digest,
    })
  })

  it('stores a referrer instead of a tag', async () => {
    const [signed] = await signImage(place, image, { key: mine, referrers: true })
    expect(await place.resolve(signatureTag())).toBeUndefined()
    expect(signed?.place.digest).toBeDefined()
    await expect(verifyImage(place, image, { key })).resolves.toMatchObject({ digest })
    expect(await signImage(place, image, { key: mine, referrers: true })).toEqual([
      { ...signed, added: false },
    ])
  })

  it('fails for an image that is not there', async () => {
    await expect(signImage(place, { ...image, tag: 'none' }, { key: mine })).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
    })
  })
})

describe('verifyImage()', () => {
  const refused = (reference: ImageReference = image, annotations = {}) =>
    verifyImage(place, reference, { key, annotations })

  it('refuses an image that nobody signed', async () => {
    await expect(refused()).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_MISSING',
      message: 'Cannot verify "localhost:5000/app:1": it has no signature',
    })
  })

  it('refuses the signature of another key', async () => {
    await signImage(place, image, { key: other })
    await expect(refused()).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_INVALID',
      message:
        'Cannot verify "localhost:5000/app:1": none of its 1 signature was made with the key for what is there',
    })
  })

  it('refuses a payload that was changed with its digest, and one that was not', async () => {
    await signImage(place, image, { key: mine, annotations: { stage: 'test' } })
    const [payload = ''] = [...place.blobs.values()].map(String).filter((text) => text.includes('critical'))
    const changed = Buffer.from(payload.replace('test', 'live'))
    const changedDigest = digestBytes(changed)
    place.blobs.set(changedDigest, changed)
    await changeSignatures((layers) => layers.map((layer) => ({ ...layer, digest: changedDigest })))
    await expect(refused()).rejects.toMatchObject({ code: 'ERR_SIGNATURE_INVALID' })
    place.blobs.set(changedDigest, Buffer.from(payload))
    await expect(refused()).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_INVALID',
      message: 'Cannot verify "localhost:5000/app:1": what is beside it is no signature that can be read',
    })
  })

  it('refuses the signature of another image that was put beside this one', async () => {
    const second = { ...image, tag: '2' }
    const { digest: secondDigest } = await place.putImage(second, 'second')
    await signImage(place, second, { key: mine })
    const stolen = await place.resolve(signatureTag(secondDigest))
    await place.putManifest(
      signatureTag(),
      stolen?.descriptor.mediaType ?? '',
      stolen?.bytes ?? Buffer.alloc(0),
    )
    await expect(refused()).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_SUBJECT',
      message: expect.stringContaining(secondDigest),
    })
  })

  it('refuses another manifest under the signed tag', async () => {
    await signImage(place, image, { key: mine })
    await place.putImage(image, 'replaced')
    await expect(refused()).rejects.toMatchObject({ code: 'ERR_SIGNATURE_MISSING' })
  })

  it('refuses a tag that is moved while it verifies, and not a digest', async () => {
    await signImage(place, image, { key: mine })
    const read = place.read
    const moving = {
      ...place,
      read: async (...args: Parameters<typeof read>) => {
        await place.putImage(image, 'moved')
        return await read(...args)
      },
    }
    await expect(verifyImage(moving, image, { key })).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_MOVED',
      hints: [expect.stringContaining(`@${digest}`)],
    })
    await expect(verifyImage(moving, { ...image, digest }, { key })).resolves.toMatchObject({ digest })
  })

  it('wants every annotation, in one signature', async () => {
    await signImage(place, image, { key: mine, annotations: { a: '1' } })
    await signImage(place, image, { key: mine, annotations: { b: '2' } })
    await expect(refused(image, { a: '1' })).resolves.toMatchObject({ digest })
    await expect(refused(image, { a: '1', b: '2' })).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_CLAIMS',
      message: expect.stringContaining('states "'),
    })
    await expect(refused(image, { constructor: 'x' })).rejects.toMatchObject({ code: 'ERR_SIGNATURE_CLAIMS' })
  })

  it('passes over what is no signature as long as there is one', async () => {
    await signImage(place, image, { key: other })
    await signImage(place, image, { key: mine })
    const annotation = 'dev.cosignproject.cosign/signature'
    await changeSignatures((layers) => [
      { ...layers[0], annotations: {} },
      { ...layers[0], annotations: { [annotation]: 'no base64!' } },
      { ...layers[0], size: 1024 ** 3 },
      { ...layers[0], digest: `sha256:${'0'.repeat(64)}` },
      ...layers,
    ])
    await expect(refused()).resolves.toMatchObject({ digest })
  })

  it('does not believe a registry that names a referrer of another image', async () => {
    const second = { ...image, tag: '2' }
    const { digest: secondDigest } = await place.putImage(second, 'second')
    const [signed] = await signImage(place, second, { key: mine, referrers: true })
    const lying = {
      ...place,
      referrers: async () => [{ mediaType: '', digest: signed?.place.digest ?? secondDigest, size: 1 }],
    }
    await expect(verifyImage(lying, image, { key })).rejects.toMatchObject({ code: 'ERR_SIGNATURE_MISSING' })
  })

  it('refuses more signatures than anybody makes', async () => {
    await signImage(place, image, { key: mine })
    await changeSignatures((layers) => Array.from({ length: 1001 }, () => layers[0] ?? {}))
    await expect(refused()).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_INVALID',
      message: expect.stringContaining('more than 1000'),
    })
  })

  it('keeps what others wrote on a signature when it adds one', async () => {
    await signImage(place, image, { key: other })
    await changeSignatures((layers) =>
      layers.map((layer) => ({
        ...layer,
        annotations: { ...(layer.annotations as object), 'dev.sigstore.cosign/bundle': '{}' },
      })),
    )
    await signImage(place, image, { key: mine })
    const stored = await place.resolve(signatureTag())
    const manifest = parseManifest(stored?.bytes ?? Buffer.alloc(0))
    expect(manifest.layers[0]?.annotations).toHaveProperty('dev.sigstore.cosign/bundle', '{}')
    expect(serializeManifest(manifest)).toEqual(stored?.bytes)
  })
})

describe('copyAttached()', () => {
  it('takes nothing into memory that is too large to be a signature', async () => {
    await signImage(place, image, { key: mine })
    await changeSignatures((layers) => layers.map((layer) => ({ ...layer, size: 2 ** 33 })))
    const read = vi.spyOn(place, 'read')
    const to = { place: memoryPlace(), reference: image }
    await expect(copyAttached({ place, reference: image }, to, digest)).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_INVALID',
    })
    expect(read).not.toHaveBeenCalled()
    expect(to.place.blobs.size).toBe(0)
  })

  it('adds what is missing in another place, and keeps what is there', async () => {
    await signImage(place, image, { key: mine })
    await signImage(place, image, { key: other, annotations: { a: '1' } })
    await attestImage(place, image, { key: mine, predicateType: 'https://example.test/x', predicate: {} })
    const there = memoryPlace()
    const copy = parseReference('elsewhere.test/copy:1')
    expect((await there.putImage(copy, 'first')).digest).toBe(digest)
    await signImage(there, copy, { key: other, annotations: { own: 'yes' } })
    const copied = () => copyAttached({ place, reference: image }, { place: there, reference: copy }, digest)
    expect(await copied()).toBe(3)
    await expect(verifyImage(there, copy, { key })).resolves.toMatchObject({ digest })
    const others = await verifyImage(there, copy, { key: publicHalf(other) })
    expect(others.signatures.map(({ annotations }) => annotations)).toEqual([{ own: 'yes' }, { a: '1' }])
    await expect(
      verifyAttestation(there, copy, { key, predicateType: 'https://example.test/x' }),
    ).resolves.toMatchObject({ digest })
    expect(await copied()).toBe(0)
  })

  it('does nothing where there is nothing', async () => {
    const to = { place: memoryPlace(), reference: image }
    expect(await copyAttached({ place, reference: image }, to, digest)).toBe(0)
    expect(to.place.manifests.size).toBe(0)
  })
})

describe('verifyAttestation()', () => {
  const predicateType = 'https://spdx.dev/Document'
  const predicate = { spdxVersion: 'SPDX-2.3' }
  const wanted = () => ({ key, predicateType })

  it.each([false, true])('gives what was said, with referrers: %s', async (referrers) => {
    await attestImage(place, image, { key: mine, predicateType, predicate, referrers })
    expect(await verifyAttestation(place, image, wanted())).toEqual({
      digest,
      attestations: [{ predicateType, predicate }],
    })
  })

  it('refuses what is missing, of another key, of another type and about another image', async () => {
    await expect(verifyAttestation(place, image, wanted())).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_MISSING',
    })
    await attestImage(place, image, { key: other, predicateType, predicate })
    await expect(verifyAttestation(place, image, wanted())).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_INVALID',
    })
    await attestImage(place, image, { key: mine, predicateType: 'https://example.test/x', predicate })
    await expect(verifyAttestation(place, image, wanted())).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_CLAIMS',
    })
    const second = { ...image, tag: '2' }
    const { digest: secondDigest } = await place.putImage(second, 'second')
    const stolen = await place.resolve(attachedTag(image, digest, 'att'))
    await place.putManifest(
      attachedTag(image, secondDigest, 'att'),
      stolen?.descriptor.mediaType ?? '',
      stolen?.bytes ?? Buffer.alloc(0),
    )
    await expect(verifyAttestation(place, second, wanted())).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_SUBJECT',
    })
  })

  it('refuses an envelope whose payload, type or signature was changed', async () => {
    await attestImage(place, image, { key: mine, predicateType, predicate })
    const [digestOf = '', bytes = Buffer.alloc(0)] =
      [...place.blobs].find(([, blob]) => blob.includes('payloadType')) ?? []
    const envelope = JSON.parse(bytes.toString())
    const statement = Buffer.from(envelope.payload, 'base64').toString()
    const changes = [
      { payload: Buffer.from(statement.replace('2.3', '2.2')).toString('base64') },
      { payloadType: 'application/json' },
      { signatures: [] },
      { signatures: [{ sig: 'AAAA' }] },
      { payload: 7 },
    ]
    for (const change of changes) {
      const changed = Buffer.from(JSON.stringify({ ...envelope, ...change }))
      const lying = { ...place, read: async () => changed }
      await expect(verifyAttestation(lying, image, wanted())).rejects.toMatchObject({
        code: 'ERR_SIGNATURE_INVALID',
      })
    }
    expect(digestOf).toBe(digestBytes(bytes))
  })
})
