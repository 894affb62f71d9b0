import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import {
  type Descriptor,
  mediaTypes,
  serializeImageConfig,
  serializeIndex,
  serializeManifest,
} from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import { temporaryDirectory, temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { parseLayoutReference } from './oci-layout.ts'
import { createImageSource, type ImageSource } from './resolve-image.ts'

const signal = new AbortController().signal
const amd64 = { os: 'linux', architecture: 'amd64' }
const arm64 = { os: 'linux', architecture: 'arm64' }
const layer = Buffer.from('the bytes of a layer')

let path: string
let store: Store
let images: ImageSource
beforeEach(async () => {
  path = temporaryDirectory()
  store = await temporaryStore()
  const registry = () => {
    throw new RangeError('no registry is asked')
  }
  images = createImageSource({ store, registry })
})

function putBlob(bytes: Buffer, mediaType: string): Descriptor {
  const digest = digestBytes(bytes)
  writeFileSync(join(path, 'blobs', ...digest.split(':')), bytes)
  return { mediaType, digest, size: bytes.length }
}

function putImage(user: string, platform = amd64): Descriptor {
  const config = serializeImageConfig({
    platform,
    config: { user },
    diffIds: [parseDiffId(digestBytes('diff'))],
    history: [],
  })
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: putBlob(config, mediaTypes.ociConfig),
    layers: [putBlob(layer, mediaTypes.ociLayerGzip)],
    annotations: {},
  })
  return { ...putBlob(manifest, mediaTypes.ociManifest), platform }
}

const tagged = (descriptor: Descriptor, tag: string): Descriptor => ({
  ...descriptor,
  annotations: { 'org.opencontainers.image.ref.name': tag },
})

/** Writes a layout with images, made after its directory. */
function layout(make: () => readonly Descriptor[]): void {
  mkdirSync(join(path, 'blobs/sha256'), { recursive: true })
  writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const index = serializeIndex({ mediaType: mediaTypes.ociIndex, manifests: make(), annotations: {} })
  writeFileSync(join(path, 'index.json'), index)
}

const resolve = (which = '', platform = amd64) =>
  images.resolve(`oci-layout://${path}${which}`, platform, { pull: true, signal })
const userOf = async (which?: string, platform?: typeof amd64) =>
  (await resolve(which, platform)).config.config.user

describe('parseLayoutReference()', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  it.each([
    ['/l', '/l', undefined, undefined],
    ['/l:tag', '/l', 'tag', undefined],
    ['/a:b/l', '/a:b/l', undefined, undefined],
    ['/a:b/l:tag', '/a:b/l', 'tag', undefined],
    [`/l@${digest}`, '/l', undefined, digest],
    [`/l:tag@${digest}`, '/l', 'tag', digest],
    ['/a@b', '/a@b', undefined, undefined],
  ])('parseLayoutReference() reads %s', (text, expectedPath, tag, expectedDigest) => {
    expect(parseLayoutReference(`oci-layout://${text}`)).toEqual({
      path: expectedPath,
      tag,
      digest: expectedDigest,
    })
  })
})

describe('createImageSource() with an OCI layout', () => {
  it('resolve() finds the only image without a tag, and asks neither registry nor store', async () => {
    layout(() => [tagged(putImage('only'), 'some')])
    expect(await resolve()).toMatchObject({
      reference: `oci-layout://${path}`,
      layers: [{ digest: digestBytes(layer), size: layer.length }],
      config: { config: { user: 'only' } },
    })
  })

  it('resolve() finds an image by tag, by digest, as latest, and by platform', async () => {
    let digest: Digest | undefined
    layout(() => {
      const second = putImage('second')
      digest = second.digest
      return [tagged(putImage('first'), 'one'), tagged(second, 'two'), tagged(putImage('newest'), 'latest')]
    })
    expect(await userOf(':one')).toBe('first')
    expect(await userOf(`@${digest}`)).toBe('second')
    expect(await userOf()).toBe('newest')
    await expect(resolve(':three')).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' })
    layout(() => [putImage('x'), putImage('arm', arm64)])
    expect([await userOf(), await userOf('', arm64)]).toEqual(['x', 'arm'])
  })

  it('resolve() chooses the platform in an index', async () => {
    layout(() => {
      const manifests = [putImage('x'), putImage('arm', arm64)]
      const index = serializeIndex({ mediaType: mediaTypes.ociIndex, manifests, annotations: {} })
      return [tagged(putBlob(index, mediaTypes.ociIndex), 'multi')]
    })
    expect([await userOf(':multi'), await userOf(':multi', arm64)]).toEqual(['x', 'arm'])
  })

  it('resolve() and fetchLayer() refuse bytes that are not those of their digest', async () => {
    let manifest: Descriptor | undefined
    layout(() => {
      manifest = putImage('only')
      return [manifest]
    })
    const resolved = await resolve()
    const blob = (digest: Digest) => join(path, 'blobs', ...digest.split(':'))
    writeFileSync(blob(digestBytes(layer)), 'the bytes of another')
    const [layerRef] = resolved.layers.map(
      (one) => ({ kind: 'image', reference: resolved.reference, ...one }) as const,
    )
    if (layerRef === undefined || manifest === undefined) throw new RangeError('there is no layer')
    await expect(images.fetchLayer(layerRef, signal)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
    expect(await store.blobs.size(layerRef.digest)).toBeUndefined()
    rmSync(blob(layerRef.digest))
    await expect(images.fetchLayer(layerRef, signal)).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
    writeFileSync(blob(digestBytes(layer)), layer)
    await images.fetchLayer(layerRef, signal)
    expect(await store.blobs.read(layerRef.digest)).toEqual(layer)
    writeFileSync(blob(manifest.digest), Buffer.alloc(manifest.size, ' '))
    await expect(resolve()).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
  })

  it('resolve() throws ERR_CONTEXT_NOT_FOUND where there is no layout, and follows no link', async () => {
    await expect(resolve('/none')).rejects.toMatchObject({ kind: 'user', code: 'ERR_CONTEXT_NOT_FOUND' })
    layout(() => [putImage('only')])
    rmSync(join(path, 'index.json'))
    symlinkSync('/etc/passwd', join(path, 'index.json'))
    await expect(resolve()).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
  })
  it.each([
    ['a pipe', (blob: string) => void execFileSync('mkfifo', [blob]), 'is no regular file'],
    ['a directory', (blob: string) => void mkdirSync(blob), 'is no regular file'],
    ['a link out', (blob: string) => symlinkSync('/etc/hostname', blob), 'leads out of it'],
  ])('resolve() refuses a blob that is %s', async (_, plant, why) => {
    let manifest: Descriptor | undefined
    layout(() => {
      manifest = putImage('only')
      return [manifest]
    })
    const blob = join(path, 'blobs', ...(manifest?.digest ?? '').split(':'))
    rmSync(blob)
    plant(blob)
    await expect(resolve()).rejects.toMatchObject({
      code: 'ERR_ARCHIVE_INVALID',
      message: expect.stringContaining(why),
    })
  })
})
