import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { type Digest, digestBytes, digestFromHex, digestHex } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type ArchiveEntry,
  type Descriptor,
  formatReference,
  type ImageConfig,
  invalidArchive,
  isAttestation,
  maxDocumentBytes,
  mediaTypes,
  parseImageConfig,
  parseManifestOrIndex,
  parseReference,
  serializeManifest,
  withDefaultTag,
} from '@tsbuild/oci'
import { type ArchiveFile, missingEntry, packingOfBytes } from './archive-file.ts'
import type { ImageDocument, ImageSource, PlacedImage } from './types.ts'

type FileEntry = Extract<ArchiveEntry, { type: 'file' }>

const maxImages = 1000
const maxLayers = 10_000

/** A line of `manifest.json`. */
export interface DockerImage {
  readonly config: string
  readonly names: readonly string[]
  readonly layers: readonly string[]
}

/**
 * Reads a `manifest.json`.
 * @throws {UserError} `ERR_ARCHIVE_INVALID` for whatever is none, `ERR_REFERENCE_INVALID` for a name that is none
 */
export async function readDockerManifest(file: ArchiveFile): Promise<readonly DockerImage[]> {
  const text = (await file.readSmall('manifest.json', fileOf(file, 'manifest.json'))).toString()
  const invalid = (fault: string) => invalidArchive(file.label, `its manifest.json ${fault}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid('is not JSON')
  }
  if (!Array.isArray(value) || value.length === 0 || value.length > maxImages)
    throw invalid('is no list of images')
  return value.map((item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item))
      throw invalid('is no list of images')
    const config = Reflect.get(item, 'Config')
    const names = Reflect.get(item, 'RepoTags') ?? []
    const layers = Reflect.get(item, 'Layers') ?? []
    if (typeof config !== 'string' || !isTexts(names) || !isTexts(layers))
      throw invalid('has a line that is no image')
    if (layers.length > maxLayers) throw invalid(`has an image of more than ${maxLayers} layers`)
    return {
      config,
      layers,
      names: names.map((name) => formatReference(withDefaultTag(parseReference(name)))),
    }
  })
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** An image with the manifest that is made for it, and where its blobs are. */
interface MadeImage {
  readonly root: ImageDocument
  readonly names: readonly string[]
  readonly blobs: ReadonlyMap<Digest, FileEntry>
}

/**
 * Reads an archive in the old form of `docker save`: a config, and layers as tars of their own. It has no manifest, so that one is
 * made, the same each time: the digests of config and layers are kept, that of the manifest is new.
 *
 * @throws {UserError} `ERR_ARCHIVE_INVALID`, `ERR_MANIFEST_INVALID`, `ERR_DIGEST_MISMATCH`
 */
export async function openDockerSource(file: ArchiveFile, name: string | undefined): Promise<ImageSource> {
  const listed = await readDockerManifest(file)
  const made = new Map<DockerImage, Promise<MadeImage>>()
  const make = (image: DockerImage) => {
    const known = made.get(image) ?? makeImage(file, image)
    made.set(image, known)
    return known
  }
  const all = () => Promise.all(listed.map(make))
  const documentOf = async ({ digest }: Descriptor): Promise<Buffer> => {
    const found = (await all()).find(({ root }) => root.descriptor.digest === digest)
    if (found === undefined) throw missingEntry(file.label, digest)
    return found.root.bytes
  }
  return {
    label: file.label,
    resolve: async () => (await make(chosen(file.label, listed, name))).root,
    images: async () => joined(await all()),
    document: documentOf,
    blob: (descriptor) => ({
      openRange: (offset) => Readable.from(blobChunks(file, all, descriptor, offset), { objectMode: false }),
    }),
    referrers: async () => [],
    close: file.close,
  }
}

async function* blobChunks(
  file: ArchiveFile,
  all: () => Promise<readonly MadeImage[]>,
  { digest }: Descriptor,
  offset: number,
): AsyncGenerator<Buffer> {
  const entry = (await all()).map(({ blobs }) => blobs.get(digest)).find((found) => found !== undefined)
  if (entry === undefined) throw missingEntry(file.label, digest)
  for await (const chunk of file.read(entry, offset)) yield chunk
}

/** Two lines may be one image. */
function joined(images: readonly MadeImage[]): readonly PlacedImage[] {
  const found = new Map<Digest, { root: Descriptor; names: string[] }>()
  for (const { root, names } of images) {
    const known = found.get(root.descriptor.digest) ?? { root: root.descriptor, names: [] }
    found.set(root.descriptor.digest, known)
    known.names.push(...names.filter((name) => !known.names.includes(name)))
  }
  return [...found.values()]
}

function chosen(label: string, listed: readonly DockerImage[], name: string | undefined): DockerImage {
  const full = name === undefined ? undefined : formatReference(withDefaultTag(parseReference(name)))
  const matches = full === undefined ? listed : listed.filter(({ names }) => names.includes(full))
  const [only] = matches
  if (only !== undefined && matches.length === 1) return only
  const names = listed.flatMap((image) => image.names)
  throw new UserError(
    'ERR_IMAGE_NOT_FOUND',
    `Cannot find the image ${name ?? ''} in ${label}: it matches ${matches.length} of ${listed.length} images`,
    { hints: names.length === 0 ? [] : [`Names in this archive: ${names.join(', ')}.`] },
  )
}

async function makeImage(file: ArchiveFile, image: DockerImage): Promise<MadeImage> {
  const configEntry = fileOf(file, image.config)
  const configBytes = await file.readSmall(image.config, configEntry)
  const configDigest = digestBytes(configBytes)
  assertNamed(file, image.config, configDigest)
  const config = parseImageConfig(configBytes)
  if (config.diffIds.length !== image.layers.length)
    throw invalidArchive(
      file.label,
      `its config names ${config.diffIds.length} layers and its manifest.json ${image.layers.length}`,
    )
  const blobs = new Map<Digest, FileEntry>([[configDigest, configEntry]])
  const layers: Descriptor[] = []
  for (const [at, name] of image.layers.entries()) {
    const entry = layerOf(file, name)
    const layer = await describeLayer(file, entry, config, at)
    layers.push(layer)
    blobs.set(layer.digest, entry)
  }
  const bytes = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: configDigest, size: configBytes.length },
    layers,
    annotations: {},
  })
  const descriptor = { mediaType: mediaTypes.ociManifest, digest: digestBytes(bytes), size: bytes.length }
  return { root: { descriptor, bytes }, names: image.names, blobs }
}

/** A plain tar is named by the config; of a compressed one the digest is not known before it was read. */
async function describeLayer(
  file: ArchiveFile,
  entry: FileEntry,
  config: ImageConfig,
  at: number,
): Promise<Descriptor> {
  const { size } = entry
  const head = Buffer.alloc(512)
  let filled = 0
  for await (const chunk of file.read({ ...entry, size: Math.min(512, size) }))
    filled += chunk.copy(head, filled)
  const packing = packingOfBytes(head.subarray(0, filled))
  if (packing === 'gzip' || packing === 'zstd') {
    const hash = createHash('sha256')
    for await (const chunk of file.read(entry)) hash.update(chunk)
    const mediaType = packing === 'gzip' ? mediaTypes.ociLayerGzip : mediaTypes.ociLayerZstd
    return { mediaType, digest: digestFromHex(hash.digest('hex')), size }
  }
  const diffId = config.diffIds[at]
  if (diffId === undefined) throw new TypeError('a layer without a diffId')
  return { mediaType: mediaTypes.ociLayer, digest: digestFromHex(digestHex(diffId)), size }
}

/** `<hex>.json` and `blobs/sha256/<hex>` say which bytes they have. */
function assertNamed({ label }: ArchiveFile, name: string, digest: Digest): void {
  const [, hex] = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(name) ?? []
  if (hex === undefined || hex === digestHex(digest)) return
  throw new UserError('ERR_DIGEST_MISMATCH', `Cannot read ${label}: the digest of ${name} is ${digest}`)
}

function fileOf({ entries, label }: ArchiveFile, name: string): FileEntry {
  const entry = entries.get(name)
  if (entry?.type === 'file') return entry
  if (entry === undefined) throw missingEntry(label, name)
  throw invalidArchive(label, `${JSON.stringify(name)} is a link`)
}

/** Docker wrote a layer that an archive has twice as a symlink to the first: followed once, within the archive. */
function layerOf(file: ArchiveFile, name: string): FileEntry {
  const entry = file.entries.get(name)
  if (entry?.type !== 'link' || entry.hard) return fileOf(file, name)
  return fileOf(file, posix.join(posix.dirname(name), entry.target))
}

/**
 * Refuses an archive whose `manifest.json` names other images than its `index.json`: two readers would find two images.
 * @throws {UserError} `ERR_ARCHIVE_INVALID`
 */
export async function assertSameImages(
  label: string,
  listed: readonly DockerImage[],
  source: ImageSource,
): Promise<void> {
  const configs = new Map<string, Set<string>>()
  const all = new Set<string>()
  for (const { root, names } of await source.images()) {
    const found = await configsOf(source, root, 0)
    for (const name of names) configs.set(name, found)
    for (const config of found) all.add(config)
  }
  for (const { config, names } of listed) {
    const differs = names.find((name) => configs.get(name)?.has(config) === false)
    if (differs === undefined && all.has(config)) continue
    throw invalidArchive(
      label,
      `it is ambiguous: its manifest.json and its index.json name different images${differs === undefined ? '' : ` ${JSON.stringify(differs)}`}`,
    )
  }
}

/** Where the configs of an image are; of an index those that are there. */
async function configsOf(source: ImageSource, root: Descriptor, depth: number): Promise<Set<string>> {
  if (depth > 4 || root.size > maxDocumentBytes || (await source.has?.(root)) === false) return new Set()
  const parsed = parseManifestOrIndex(await source.document(root), root.mediaType)
  if (parsed.type === 'manifest') return new Set([`blobs/sha256/${digestHex(parsed.manifest.config.digest)}`])
  const below: string[] = []
  for (const entry of parsed.index.manifests.filter((one) => !isAttestation(one)))
    below.push(...(await configsOf(source, entry, depth + 1)))
  return new Set(below)
}
