import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Digest, digestHex } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { Pack } from 'tar-stream'
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
 * Writes an image as the tar of an OCI image layout. The same image and names always give the same bytes: no time of
 * writing, blobs in order of their digests, each once. `out` is not ended. Layers are copied without being verified
 * again, only their lengths are checked.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID` for a name that is none; `ERR_MANIFEST_INVALID`, `ERR_DIGEST_MISMATCH`,
 *   `ERR_SIZE_MISMATCH` for an image that is not whole; what `open` and `out` throw
 * @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export async function writeOciArchive(
  out: Writable,
  image: ArchiveImage | ArchiveImages,
  options: ArchiveOptions = {},
): Promise<void> {
  const { images, open } = imagesOf(image)
  const contents = await contentsOf(images, open)
  await writeArchive(out, layoutDocuments(images), { open, content: merged(contents), options })
}

/**
 * Writes images for `docker load`. It is an OCI layout as well, as BuildKit's is, with a `manifest.json` beside it that
 * names the same blobs. Bytes and errors as with {@link writeOciArchive}.
 *
 * @throws {UserError} `ERR_UNSUPPORTED` if a name stands for images of several platforms, which `docker load` cannot take
 */
export async function writeDockerArchive(
  out: Writable,
  image: ArchiveImage | ArchiveImages,
  options: ArchiveOptions = {},
): Promise<void> {
  const { images, open } = imagesOf(image)
  const contents = await contentsOf(images, open)
  const manifest = images.map((each, at) => dockerEntry(each, contents[at]))
  const documents = [...layoutDocuments(images), { name: 'manifest.json', bytes: jsonBytes(manifest) }]
  await writeArchive(out, documents, { open, content: merged(contents), options })
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

interface ArchiveContent {
  readonly open: ArchiveImage['open']
  readonly content: Pick<ImageBlobs, 'blobs' | 'documents'>
  readonly options: ArchiveOptions
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

async function writeArchive(
  out: Writable,
  documents: readonly SmallFile[],
  archive: ArchiveContent,
): Promise<void> {
  // Loaded here because most builds that a developer runs write no archive, and it takes longer than the rest of this lib.
  const { pack: createPack } = await import('tar-stream')
  const pack = createPack()
  const written = pipeline(pack, out, {
    end: false,
    ...(archive.options.signal && { signal: archive.options.signal }),
  })
  const fill = fillArchive(pack, documents, archive).catch((error: unknown) => {
    pack.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  })
  // The first failure is the cause: when `out` breaks, the entries fail as a consequence, and the other way round.
  const [filled, sent] = await Promise.allSettled([fill, written])
  if (sent.status === 'rejected' && filled.status === 'fulfilled') throw sent.reason
  if (filled.status === 'rejected')
    throw isPrematureClose(filled.reason) && sent.status === 'rejected' ? sent.reason : filled.reason
}

async function fillArchive(
  pack: Pack,
  documents: readonly SmallFile[],
  archive: ArchiveContent,
): Promise<void> {
  for (const { name, bytes } of documents) await addFile(pack, name, bytes.length, Readable.from([bytes]))
  for (const name of ['blobs/', 'blobs/sha256/'])
    pack.entry({ ...fixedFields(0o755), name, type: 'directory' })
  for (const blob of archive.content.blobs) {
    archive.options.signal?.throwIfAborted()
    const document = archive.content.documents.get(blob.digest)
    const source = document === undefined ? await archive.open(blob.digest) : Readable.from([document])
    await addFile(pack, blobPath(blob.digest), blob.size, source)
  }
  pack.finalize()
}

async function addFile(pack: Pack, name: string, size: number, source: Readable): Promise<void> {
  const entry = pack.entry({ ...fixedFields(0o644), name, size, type: 'file' })
  await pipeline(source, (chunks: AsyncIterable<Buffer>) => ofLength(chunks, size, name), entry)
}

async function* ofLength(chunks: AsyncIterable<Buffer>, size: number, name: string): AsyncGenerator<Buffer> {
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
    `Cannot archive ${name}: it has ${relation} bytes, and its descriptor says ${size}`,
  )
}

/** Nothing in a header may depend on the machine or the moment. */
function fixedFields(mode: number) {
  return { mode, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' }
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`
}

function isPrematureClose(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}
