import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Digest, digestHex } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { type ArchiveFile, type ArchivePart, archiveParts } from './archive-parts.ts'
import { descriptorToJson } from './descriptor.ts'
import { collectImageBlobs, type ImageBlobs } from './image-blobs.ts'
import { jsonBytes } from './manifest.ts'
import { mediaTypes } from './media-types.ts'
import { isAttestation } from './platform.ts'
import { formatReference, parseReference, withDefaultTag } from './reference.ts'
import type { ArchiveImage, Descriptor } from './types.ts'

const layoutMarker = { imageLayoutVersion: '1.0.0' }

/** For the archive writers. */
export interface ArchiveOptions {
  readonly signal?: AbortSignal | undefined
}

/** Several images in one archive. */
export interface ArchiveImages {
  readonly images: readonly ArchivedImage[]
  /** As in {@link ArchiveImage}. */
  readonly open: ArchiveImage['open']
}

/** One image of an archive. */
export interface ArchivedImage {
  /** The image manifest, or the index of several. */
  readonly root: Descriptor
  /** Full names with a tag, for example `docker.io/library/app:1.0`. May be empty. */
  readonly names: readonly string[]
  /** Names of the layout alone, any text: what stands after the colon of `oci-archive:FILE:TAG`. */
  readonly refNames?: readonly string[] | undefined
}

/**
 * Lays out images as the tar of an OCI image layout. The same images and names always give the same bytes: no time of
 * writing, blobs in order of their digests, each once. Manifests and indexes are read and verified; of other blobs only the
 * descriptors are looked at.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID` for a name that is none; `ERR_MANIFEST_INVALID`, `ERR_DIGEST_MISMATCH`,
 *   `ERR_SIZE_MISMATCH` for an image that is not whole; what `open` throws
 * @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export async function ociArchiveParts(image: ArchiveImage | ArchiveImages): Promise<readonly ArchivePart[]> {
  const { images, open } = imagesOf(image)
  const contents = await contentsOf(images, open)
  return await archiveParts(filesOf(layoutDocuments(images), merged(contents)))
}

/**
 * Lays out images for `docker load`. It is an OCI layout as well, as BuildKit's is, with a `manifest.json` beside it that
 * names the same blobs. Bytes and errors as with {@link ociArchiveParts}.
 *
 * @throws {UserError} `ERR_UNSUPPORTED` if a name stands for images of several platforms, which `docker load` cannot take
 */
export async function dockerArchiveParts(
  image: ArchiveImage | ArchiveImages,
): Promise<readonly ArchivePart[]> {
  const { images, open } = imagesOf(image)
  const contents = await contentsOf(images, open)
  const manifest = images.map((each, at) => dockerEntry(each, contents[at]))
  const documents = [...layoutDocuments(images), { name: 'manifest.json', bytes: jsonBytes(manifest) }]
  return await archiveParts(filesOf(documents, merged(contents)))
}

/**
 * Writes what {@link ociArchiveParts} lays out. `out` is not ended. Layers are copied without being verified again, only their
 * lengths are checked.
 *
 * @throws as it does; what `out` throws
 */
export async function writeOciArchive(
  out: Writable,
  image: ArchiveImage | ArchiveImages,
  options: ArchiveOptions = {},
): Promise<void> {
  await writeArchiveParts(out, await ociArchiveParts(image), image.open, options)
}

/** As {@link writeOciArchive}, of what {@link dockerArchiveParts} lays out. */
export async function writeDockerArchive(
  out: Writable,
  image: ArchiveImage | ArchiveImages,
  options: ArchiveOptions = {},
): Promise<void> {
  await writeArchiveParts(out, await dockerArchiveParts(image), image.open, options)
}

/**
 * Writes the parts of an archive. `out` is not ended.
 *
 * @param open as in {@link ArchiveImage}
 * @throws {UserError} `ERR_SIZE_MISMATCH` for a blob of another length; what `open` and `out` throw
 */
export async function writeArchiveParts(
  out: Writable,
  parts: readonly ArchivePart[],
  open: ArchiveImage['open'],
  { signal }: ArchiveOptions,
): Promise<void> {
  await pipeline(() => bytesOf(parts, open), out, { end: false, ...(signal && { signal }) })
}

/** A line of `manifest.json`. */
function dockerEntry({ names }: ArchivedImage, content: ImageBlobs | undefined) {
  const images = (content?.manifests ?? []).filter(({ descriptor }) => !isAttestation(descriptor))
  const [only] = images
  if (only === undefined || images.length > 1) {
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot write a docker archive: it takes one image, and here are ${images.length}`,
      {
        hints: ['Write an OCI archive, or choose one platform.'],
      },
    )
  }
  const references = names.map((name) => withDefaultTag(parseReference(name)))
  return {
    Config: blobPath(only.manifest.config.digest),
    // A tag is what docker can give; what was pulled by its digest alone has none.
    RepoTags: references.filter(({ digest }) => digest === undefined).map(formatReference),
    Layers: only.manifest.layers.map((layer) => blobPath(layer.digest)),
  }
}

/** The entries of `index.json` for an image: one for each name, as containerd and Docker look for them. */
export function namedDescriptors(
  root: Descriptor,
  names: readonly string[],
  refNames: readonly string[] = [],
): readonly Descriptor[] {
  if (names.length + refNames.length === 0) return [root]
  const full = names.map((name) => {
    const reference = withDefaultTag(parseReference(name))
    const annotations = {
      ...root.annotations,
      'io.containerd.image.name': formatReference(reference),
      ...(reference.tag === undefined ? {} : { 'org.opencontainers.image.ref.name': reference.tag }),
    }
    return { ...root, annotations }
  })
  const own = refNames.map((name) => ({
    ...root,
    annotations: { ...root.annotations, 'org.opencontainers.image.ref.name': name },
  }))
  return [...full, ...own]
}

function imagesOf(image: ArchiveImage | ArchiveImages): ArchiveImages {
  return 'images' in image ? image : { images: [image], open: image.open }
}

async function contentsOf(
  images: readonly ArchivedImage[],
  open: ArchiveImage['open'],
): Promise<readonly ImageBlobs[]> {
  const contents: ImageBlobs[] = []
  for (const { root } of images) contents.push(await collectImageBlobs(root, open))
  return contents
}

/** What images have in common is in the archive once. */
function merged(contents: readonly ImageBlobs[]): Pick<ImageBlobs, 'blobs' | 'documents'> {
  const blobs = new Map(contents.flatMap((each) => each.blobs.map((blob) => [blob.digest, blob] as const)))
  return {
    blobs: [...blobs.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1)),
    documents: new Map(contents.flatMap(({ documents }) => [...documents])),
  }
}

interface SmallFile {
  readonly name: string
  readonly bytes: Buffer
}

function layoutDocuments(images: readonly ArchivedImage[]): readonly SmallFile[] {
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: images.flatMap(({ root, names, refNames }) =>
      namedDescriptors(root, names, refNames).map(descriptorToJson),
    ),
  }
  return [
    { name: 'oci-layout', bytes: jsonBytes(layoutMarker) },
    { name: 'index.json', bytes: jsonBytes(index) },
  ]
}

function filesOf(
  documents: readonly SmallFile[],
  content: Pick<ImageBlobs, 'blobs' | 'documents'>,
): readonly ArchiveFile[] {
  return [
    ...documents.map(({ name, bytes }) => ({ name, content: { kind: 'bytes', bytes } }) as const),
    ...['blobs/', 'blobs/sha256/'].map((name) => ({ name, content: { kind: 'directory' } }) as const),
    ...content.blobs.map((blob) => {
      const bytes = content.documents.get(blob.digest)
      const known =
        bytes === undefined ? ({ kind: 'blob', blob } as const) : ({ kind: 'bytes', bytes } as const)
      return { name: blobPath(blob.digest), content: known }
    }),
  ]
}

async function* bytesOf(
  parts: readonly ArchivePart[],
  open: ArchiveImage['open'],
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const part of parts) {
    if (part.kind === 'bytes') yield part.bytes
    else yield* ofLength(await open(part.blob.digest), part.blob)
  }
}

async function* ofLength(
  chunks: Readable,
  { digest, size }: Descriptor,
): AsyncGenerator<Uint8Array, void, undefined> {
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > size) break
    yield chunk
  }
  if (length === size) return
  const relation = length > size ? `more than ${size}` : `${length}`
  throw new UserError(
    'ERR_SIZE_MISMATCH',
    `Cannot archive ${blobPath(digest)}: it has ${relation} bytes, and its descriptor says ${size}`,
  )
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`
}
