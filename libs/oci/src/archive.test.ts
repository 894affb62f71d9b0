import { Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { extract, pack } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import {
  type ArchiveImage,
  type Descriptor,
  findInLayout,
  type Manifest,
  mediaTypes,
  readLayoutIndex,
  serializeImageConfig,
  serializeIndex,
  serializeManifest,
  validateImage,
  writeDockerArchive,
  writeOciArchive,
} from './index.ts'

interface Made {
  readonly blobs: Map<string, Buffer>
  readonly manifest: Manifest
  readonly image: ArchiveImage
}

async function tarOf(files: Record<string, string>): Promise<Buffer> {
  const tar = pack()
  for (const [name, text] of Object.entries(files)) tar.entry({ name, mtime: new Date(0) }, text)
  tar.finalize()
  return buffer(tar)
}

async function makeImage(
  names: readonly string[] = ['docker.io/library/app:1.0'],
  text = 'hello',
): Promise<Made> {
  const blobs = new Map<string, Buffer>()
  const put = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = digestBytes(bytes)
    blobs.set(digest, bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const tar = await tarOf({ hello: text })
  const config = serializeImageConfig({
    platform: { os: 'linux', architecture: 'amd64' },
    config: { cmd: ['/hello'] },
    diffIds: [parseDiffId(digestBytes(tar)), parseDiffId(digestBytes(tar))],
    history: [{ createdBy: 'a' }, { createdBy: 'b' }, { createdBy: 'ENV', emptyLayer: true }],
  })
  const manifest: Manifest = {
    mediaType: mediaTypes.ociManifest,
    config: put(config, mediaTypes.ociConfig),
    layers: [put(tar, mediaTypes.ociLayer), put(gzipSync(tar, { level: 0 }), mediaTypes.ociLayerGzip)],
    annotations: {},
  }
  const root = put(serializeManifest(manifest), manifest.mediaType)
  const open = (digest: Digest) => Readable.from([blobs.get(digest) ?? Buffer.alloc(0)])
  return { blobs, manifest, image: { root, names, open } }
}

function sink(): { out: Writable; bytes: () => Buffer } {
  const chunks: Buffer[] = []
  const out = new Writable({
    write(chunk, _encoding, callback) {
      chunks.push(chunk)
      callback()
    },
  })
  return { out, bytes: () => Buffer.concat(chunks) }
}

type Entries = Map<
  string,
  { mode?: number | undefined; mtime?: Date | undefined; type?: string | null | undefined; bytes: Buffer }
>

async function unpack(tar: Buffer): Promise<Entries> {
  const entries: Entries = new Map()
  const reader = extract()
  Readable.from([tar]).pipe(reader)
  for await (const entry of reader) {
    const { name, mode, mtime, type } = entry.header
    entries.set(name, { mode, mtime, type, bytes: await buffer(entry) })
  }
  return entries
}

async function archived(write: typeof writeOciArchive, image: ArchiveImage): Promise<Buffer> {
  const { out, bytes } = sink()
  await write(out, image)
  return bytes()
}

describe('archives', () => {
  it('writeOciArchive() writes a layout with every blob once, parents first, without a time', async () => {
    const { image, blobs } = await makeImage(['docker.io/library/app:1.0', 'ghcr.io/me/app:2'])
    const entries = await unpack(await archived(writeOciArchive, image))
    const blobNames = [...blobs.keys()].map((digest) => digest.replace('sha256:', 'blobs/sha256/')).sort()
    expect([...entries.keys()]).toEqual(['oci-layout', 'index.json', 'blobs/', 'blobs/sha256/', ...blobNames])
    for (const [name, entry] of entries) {
      expect(entry.mtime).toEqual(new Date(0))
      expect(entry.mode).toBe(name.endsWith('/') ? 0o755 : 0o644)
      if (name.startsWith('blobs/sha256/') && !name.endsWith('/')) {
        expect(digestBytes(entry.bytes)).toBe(name.replace('blobs/sha256/', 'sha256:'))
      }
    }
    const index = await readLayoutIndex(async (path) => entries.get(path)?.bytes ?? Buffer.alloc(0))
    expect(index.manifests.map((entry) => entry.annotations)).toEqual([
      { 'io.containerd.image.name': 'docker.io/library/app:1.0', 'org.opencontainers.image.ref.name': '1.0' },
      { 'io.containerd.image.name': 'ghcr.io/me/app:2', 'org.opencontainers.image.ref.name': '2' },
    ])
    expect(findInLayout(index, { name: '2' }).digest).toBe(image.root.digest)
  })

  it('writeOciArchive() and writeDockerArchive() write pinned bytes', async () => {
    const { image } = await makeImage(['docker.io/library/app:1.0'])
    expect(digestBytes(await archived(writeOciArchive, image))).toBe(
      'sha256:1b04b4de855907b3e80d7eb4706e840e47064efac9c9bb20f9c00712fec4c797',
    )
    expect(digestBytes(await archived(writeDockerArchive, image))).toBe(
      'sha256:b47463268c69ea4fd9efd6d4c7f1e13cbb45b6f502317cf54aec224ee3f8ef2e',
    )
  })

  it('writeOciArchive() follows an index to each of its images', async () => {
    const [a, b] = [await makeImage([], 'a'), await makeImage([], 'b')]
    const bytes = serializeIndex({
      mediaType: mediaTypes.ociIndex,
      manifests: [a.image.root, b.image.root],
      annotations: {},
    })
    const blobs = new Map([...a.blobs, ...b.blobs, [digestBytes(bytes) as string, bytes]])
    const root = { mediaType: mediaTypes.ociIndex, digest: digestBytes(bytes), size: bytes.length }
    const image = {
      root,
      names: [],
      open: (digest: Digest) => Readable.from([blobs.get(digest) ?? Buffer.alloc(0)]),
    }
    const entries = await unpack(await archived(writeOciArchive, image))
    expect(entries.size).toBe(4 + blobs.size)
    await expect(archived(writeDockerArchive, image)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' })
  })

  it('writeDockerArchive() adds a manifest.json that names the blobs of the layout', async () => {
    const { image, manifest } = await makeImage()
    const entries = await unpack(await archived(writeDockerArchive, image))
    const path = (descriptor: Descriptor) => descriptor.digest.replace('sha256:', 'blobs/sha256/')
    expect(JSON.parse(entries.get('manifest.json')?.bytes.toString() ?? '')).toEqual([
      {
        Config: path(manifest.config),
        RepoTags: ['docker.io/library/app:1.0'],
        Layers: manifest.layers.map(path),
      },
    ])
    expect(entries.has('index.json')).toBe(true)
  })

  it.each([
    ['short', (bytes: Buffer) => bytes.subarray(1), 'ERR_SIZE_MISMATCH'],
    ['long', (bytes: Buffer) => Buffer.concat([bytes, bytes]), 'ERR_SIZE_MISMATCH'],
  ])('writeOciArchive() refuses a layer that is too %s', async (_, damage, code) => {
    const { image, manifest, blobs } = await makeImage()
    const digest = manifest.layers[0]?.digest ?? ''
    blobs.set(digest, damage(blobs.get(digest) ?? Buffer.alloc(0)))
    await expect(archived(writeOciArchive, image)).rejects.toMatchObject({ code })
  })

  it('writeOciArchive() refuses a manifest with other bytes than its digest', async () => {
    const { image, blobs } = await makeImage()
    const bytes = blobs.get(image.root.digest) ?? Buffer.alloc(0)
    blobs.set(
      image.root.digest,
      Buffer.from(bytes.toString().replace('amd64', 'arm64').replace('vnd', 'VND')),
    )
    await expect(archived(writeOciArchive, image)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
  })

  it('writeOciArchive() rejects with the error of the output, of a blob that cannot be opened, of the signal', async () => {
    const { image, manifest } = await makeImage()
    const full = new Writable({ write: (_chunk, _encoding, callback) => callback(new Error('no space')) })
    await expect(writeOciArchive(full, image)).rejects.toThrow('no space')
    const open = (digest: Digest) => {
      if (digest === manifest.layers[1]?.digest) throw new Error('gone')
      return image.open(digest)
    }
    await expect(archived(writeOciArchive, { ...image, open })).rejects.toThrow('gone')
    const signal = AbortSignal.abort(new Error('stop'))
    await expect(writeOciArchive(sink().out, image, { signal })).rejects.toThrow()
  })

  it('tar-stream writes a size over 8 GiB that tar readers understand', async () => {
    const tar = pack()
    tar.entry({ name: 'blobs/sha256/x', size: 9 * 2 ** 30, mtime: new Date(0) }, () => undefined)
    let header = Buffer.alloc(0)
    for await (const chunk of tar) {
      header = Buffer.from(chunk as Buffer)
      break
    }
    expect(header.subarray(124, 136).toString('hex')).toBe('800000000000000240000000')
  })

  it('readLayoutIndex() refuses what is no layout of version 1', async () => {
    const read = (marker: string) => readLayoutIndex(async () => Buffer.from(marker))
    await expect(read('{"imageLayoutVersion":"2.0.0"}')).rejects.toMatchObject({
      code: 'ERR_ARCHIVE_INVALID',
    })
    await expect(read('{}')).rejects.toMatchObject({ code: 'ERR_MANIFEST_INVALID' })
  })

  it('findInLayout() finds the only image, and refuses to guess among several', () => {
    const entry = (text: string, name: string): Descriptor => ({
      mediaType: mediaTypes.ociManifest,
      digest: digestBytes(text),
      size: 1,
      annotations: { 'org.opencontainers.image.ref.name': name },
    })
    const index = {
      mediaType: mediaTypes.ociIndex,
      manifests: [entry('a', '1'), entry('b', '2')],
      annotations: {},
    }
    expect(findInLayout(index, { digest: digestBytes('b') }).digest).toBe(digestBytes('b'))
    expect(findInLayout({ ...index, manifests: [entry('a', '1')] }, {}).digest).toBe(digestBytes('a'))
    for (const wanted of [{}, { name: '3' }]) {
      expect(() => findInLayout(index, wanted)).toThrow(
        expect.objectContaining({ code: 'ERR_IMAGE_NOT_FOUND' }),
      )
    }
  })
})

describe('validateImage()', () => {
  it('finds nothing wrong with a sound image', async () => {
    const { manifest, image } = await makeImage()
    expect(await validateImage({ manifest, open: image.open })).toEqual([])
  })

  it.each([
    ['a flipped byte of a layer', 0, 'digest'],
    ['a layer with another diffId', 1, 'layers, the config'],
    ['a config that is gone', 2, 'config'],
  ])('finds %s', async (_, kind, fault) => {
    const { manifest, image, blobs } = await makeImage()
    const digest = manifest.layers[0]?.digest ?? ''
    if (kind === 0) {
      const bytes = Buffer.from(blobs.get(digest) ?? '')
      bytes.writeUInt8(bytes.readUInt8(600) ^ 1, 600)
      blobs.set(digest, bytes)
    }
    if (kind === 2) blobs.delete(manifest.config.digest)
    const changed = kind === 1 ? { ...manifest, layers: [manifest.layers[1] ?? manifest.config] } : manifest
    const faults = await validateImage({ manifest: changed, open: image.open })
    expect(faults.join('; ')).toContain(fault)
  })
})
