import { createHash } from 'node:crypto'
import { type Readable, Transform } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { digestFromHex } from '@tsbuild/digest'
import { parseImageConfig } from './image-config.ts'
import { mediaTypes } from './media-types.ts'
import { type OpenBlob, readDocument } from './read-blob.ts'
import type { Descriptor, ImageConfig, Manifest } from './types.ts'

/** What {@link validateImage} looks at. */
export interface ImageToValidate {
  readonly manifest: Manifest
  readonly open: OpenBlob
  /** Undoes a layer's compression. The default knows plain tar and gzip. */
  readonly uncompress?: ((layer: Descriptor, stored: Readable) => Readable) | undefined
}

/**
 * Checks that an image is whole: config and layers have the sizes and digests that the manifest says, layers unpack to
 * the diffIds that the config says, and the history has a line for each layer. Reads every byte; meant for tests and fsck.
 *
 * @returns what is wrong, one sentence each; empty for a sound image
 */
export async function validateImage(image: ImageToValidate): Promise<readonly string[]> {
  const { manifest, open } = image
  let config: ImageConfig
  try {
    config = parseImageConfig(await readDocument(open, manifest.config))
  } catch (error) {
    return [`config: ${messageOf(error)}`]
  }
  const faults = countFaults(manifest, config)
  for (const [index, layer] of manifest.layers.entries()) {
    const fault = await layerFault(image, layer, config.diffIds[index]).catch(messageOf)
    if (fault !== undefined) faults.push(`layer ${index}: ${fault}`)
  }
  return faults
}

function countFaults(manifest: Manifest, config: ImageConfig): string[] {
  const faults: string[] = []
  if (manifest.layers.length !== config.diffIds.length) {
    faults.push(`the manifest has ${manifest.layers.length} layers, the config ${config.diffIds.length}`)
  }
  const lines = config.history.filter((entry) => entry.emptyLayer !== true).length
  if (config.history.length > 0 && lines !== config.diffIds.length) {
    faults.push(`the history has ${lines} lines with a layer, the config ${config.diffIds.length} layers`)
  }
  return faults
}

async function layerFault(
  image: ImageToValidate,
  layer: Descriptor,
  diffId: string | undefined,
): Promise<string | undefined> {
  const stored = createHash('sha256')
  const unpacked = createHash('sha256')
  let size = 0
  const tap = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      stored.update(chunk)
      size += chunk.length
      callback(null, chunk)
    },
  })
  const source = await image.open(layer.digest)
  const tar = (image.uncompress ?? uncompressKnown)(layer, tap)
  source.once('error', (error) => tar.destroy(error))
  source.pipe(tap)
  for await (const chunk of tar) unpacked.update(chunk)
  if (size !== layer.size) return `it has ${size} bytes, its descriptor says ${layer.size}`
  const digest = digestFromHex(stored.digest('hex'))
  if (digest !== layer.digest) return `its digest is ${digest}, its descriptor says ${layer.digest}`
  const actual = digestFromHex(unpacked.digest('hex'))
  return actual === diffId ? undefined : `its diffId is ${actual}, the config says ${diffId ?? 'nothing'}`
}

function uncompressKnown(layer: Descriptor, stored: Readable): Readable {
  switch (layer.mediaType) {
    case mediaTypes.ociLayer:
    case mediaTypes.dockerLayer:
      return stored
    case mediaTypes.ociLayerGzip:
    case mediaTypes.dockerLayerGzip:
      return stored.pipe(createGunzip())
    default:
      throw new Error(`nothing here unpacks ${layer.mediaType}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
