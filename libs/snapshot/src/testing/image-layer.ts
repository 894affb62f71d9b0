import { gzipSync } from 'node:zlib'
import { digestBytes, parseDiffId } from '@tsbuild/digest'
import type { ImageLayerRef } from '../layers.ts'

/** A ustar archive of one regular file. @param text of ASCII */
function tarOf(name: string, text: string): Buffer {
  const header = Buffer.alloc(512)
  const put = (at: number, value: string) => header.write(value, at, 'latin1')
  put(0, name)
  for (const [at, value] of [
    [100, '0000644'],
    [108, '0000000'],
    [116, '0000000'],
    [124, text.length.toString(8).padStart(11, '0')],
    [136, '00000000000'],
    [148, '        '],
    [156, '0'],
    [257, 'ustar\u000000'],
  ] as const)
    put(at, value)
  put(
    148,
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
  )
  return Buffer.concat([
    header,
    Buffer.from(text.padEnd(Math.ceil(text.length / 512) * 512, '\0')),
    Buffer.alloc(1024),
  ])
}

/** A layer of an image, with its blob. */
export interface Layer extends ImageLayerRef {
  readonly bytes: Buffer
}

/** A gzipped layer of one file. */
export function layerOf(name: string, text: string): Layer {
  const tar = tarOf(name, text)
  const bytes = gzipSync(tar)
  const reference = 'registry.example/base:1'
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
  const diffId = parseDiffId(digestBytes(tar))
  return {
    kind: 'image',
    reference,
    mediaType,
    digest: digestBytes(bytes),
    size: bytes.length,
    diffId,
    bytes,
  }
}
