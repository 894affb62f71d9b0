import { type DiffId, type Digest, digestBytes } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, serializeImageConfig, serializeManifest } from '@tsbuild/oci'

/** An image that is all in memory. */
export interface TinyImage {
  readonly root: Descriptor
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly diffIds: readonly string[]
  readonly texts: readonly string[]
  readonly blob: (digest: Digest) => Buffer
}

/** Makes an image with a layer, not compressed, for each text: a file of that name which holds it. */
export function tinyImage(texts: readonly string[], mediaType: string = mediaTypes.ociLayer): TinyImage {
  const blobs = new Map<Digest, Buffer>()
  const add = (type: string, bytes: Buffer): Descriptor => {
    const digest = digestBytes(bytes)
    blobs.set(digest, bytes)
    return { mediaType: type, digest, size: bytes.length }
  }
  const layers = texts.map((text) => add(mediaType, tarOf(text)))
  const diffIds = layers.map(({ digest }) => digest as string as DiffId)
  const platform = { os: 'linux', architecture: 'amd64' }
  const history = texts.map((text) => ({ createdBy: text }))
  const config = add(
    mediaTypes.ociConfig,
    Buffer.from(serializeImageConfig({ platform, config: { cmd: ['/x'] }, diffIds, history })),
  )
  const manifest = { mediaType: mediaTypes.ociManifest, config, layers, annotations: {} }
  const root = add(mediaTypes.ociManifest, Buffer.from(serializeManifest(manifest)))
  const blob = (digest: Digest) => blobs.get(digest) ?? Buffer.alloc(0)
  return { root: { ...root, platform }, config, layers, diffIds, texts, blob }
}

/** One file in the form of ustar. */
function tarOf(text: string): Buffer {
  const content = Buffer.from(text)
  const header = Buffer.alloc(512)
  header.write(`file-${digestBytes(content).slice(7, 19)}`, 0)
  header.write('0000644\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write('        ', 148)
  header.write('0ustar\0', 156)
  header.write('00', 263)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512)
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)])
}
