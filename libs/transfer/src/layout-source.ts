import { Readable } from 'node:stream'
import { type Digest, digestHex } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  findInLayout,
  type Index,
  isIndexType,
  isManifestType,
  parseManifestOrIndex,
  readDocument,
  readLayoutIndex,
} from '@tsbuild/oci'
import type { ImageDocument, ImageSource, PlacedImage } from './types.ts'

const tagAnnotation = 'org.opencontainers.image.ref.name'
const nameAnnotation = 'io.containerd.image.name'

/** The files of a layout, wherever they are. Neither follows links. */
export interface LayoutFiles {
  readonly label: string
  /** @returns undefined where there is none */
  readonly read: (name: string) => Promise<Uint8Array | undefined>
  /** The bytes of a blob from an offset on. @throws {UserError} `ERR_ARCHIVE_INVALID` where it is missing or no file */
  readonly chunks: (name: string, offset: number) => AsyncIterable<Buffer>
  readonly has: (name: string, size: number) => Promise<boolean>
  readonly close: () => Promise<void>
}

/** Which image of a layout. */
export interface LayoutImage {
  readonly name?: string | undefined
  readonly digest?: Digest | undefined
}

/** Reads an OCI layout. @throws {UserError} `ERR_ARCHIVE_INVALID`, `ERR_MANIFEST_INVALID` if it is none */
export async function openLayoutSource(files: LayoutFiles, wanted: LayoutImage): Promise<ImageSource> {
  const index = await readLayoutIndex(async (name) => {
    const bytes = await files.read(name)
    if (bytes !== undefined) return bytes
    throw new UserError(
      'ERR_ARCHIVE_INVALID',
      `Cannot read the OCI layout "${files.label}": it has no ${name}`,
    )
  })
  const openRange = (descriptor: Descriptor, offset: number) =>
    Readable.from(files.chunks(blobName(descriptor.digest), offset), { objectMode: false })
  const document = (descriptor: Descriptor) => readDocument(() => openRange(descriptor, 0), descriptor)
  return {
    label: files.label,
    async resolve(): Promise<ImageDocument> {
      const { mediaType, digest, size, artifactType } = find(index, wanted)
      const descriptor = { mediaType, digest, size, ...(artifactType === undefined ? {} : { artifactType }) }
      return { descriptor, bytes: await document(descriptor) }
    },
    images: async () => imagesOf(index),
    document,
    blob: (descriptor) => ({ openRange: (offset) => openRange(descriptor, offset) }),
    has: ({ digest, size }) => files.has(blobName(digest), size),
    async assertThere(blobs) {
      for (const { digest, size } of blobs) {
        if (await files.has(blobName(digest), size)) continue
        throw new UserError(
          'ERR_ARCHIVE_INVALID',
          `Cannot read the OCI layout "${files.label}": its blob ${digest} is missing, or has not ${size} bytes`,
        )
      }
    },
    referrers: (subject) => referrersIn(index, subject, document),
    close: files.close,
  }
}

/** Where a blob of a layout is. */
export function blobName(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`
}

/** Without a name: the only image, or that called `latest`. What only says something about an image is none. */
function find(index: Index, { name, digest }: LayoutImage): Descriptor {
  if (name !== undefined || digest !== undefined)
    return findInLayout(index, {
      ...(name === undefined ? {} : { name }),
      ...(digest === undefined ? {} : { digest }),
    })
  const images = index.manifests.filter(({ artifactType }) => artifactType === undefined)
  const candidates = images.length === 0 ? index.manifests : images
  const latest = candidates.filter(({ annotations }) => annotations?.[tagAnnotation] === 'latest')
  const several = new Set(candidates.map((entry) => entry.digest)).size > 1
  return findInLayout({ ...index, manifests: several && latest.length > 0 ? latest : candidates }, {})
}

/** Each image once, with its names; the more exact one where there are two. */
function imagesOf(index: Index): readonly PlacedImage[] {
  const byDigest = new Map<Digest, { root: Descriptor; names: string[] }>()
  for (const { annotations = {}, mediaType, digest, size, artifactType } of index.manifests) {
    if (artifactType !== undefined || !isImageType(mediaType)) continue
    const image = byDigest.get(digest) ?? { root: { mediaType, digest, size }, names: [] }
    byDigest.set(digest, image)
    const name = annotations[nameAnnotation] ?? annotations[tagAnnotation]
    if (name !== undefined && !image.names.includes(name)) image.names.push(name)
  }
  return [...byDigest.values()]
}

function isImageType(mediaType: string): boolean {
  return isManifestType(mediaType) || isIndexType(mediaType)
}

/** A layout lists them beside the images. */
async function referrersIn(
  index: Index,
  subject: Descriptor,
  read: (descriptor: Descriptor) => Promise<Buffer>,
): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = []
  for (const entry of index.manifests) {
    if (!isImageType(entry.mediaType) || entry.digest === subject.digest) continue
    const parsed = parseManifestOrIndex(await read(entry), entry.mediaType)
    const about = parsed.type === 'index' ? parsed.index.subject : parsed.manifest.subject
    if (about?.digest === subject.digest) found.push(entry)
  }
  return found
}
