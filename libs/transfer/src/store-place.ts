import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { type Digest, digestFromHex } from '@tsbuild/digest'
import {
  type Descriptor,
  formatReference,
  type ManifestOrIndex,
  maxDocumentBytes,
  parseManifestOrIndex,
  parseReference,
  withDefaultTag,
} from '@tsbuild/oci'
import { fileSink } from '@tsbuild/registry'
import { onDisk, type Store } from '@tsbuild/store'
import { counted } from './counting.ts'
import { findLocalImage } from './find-local-image.ts'
import type { BlobSource, ImageSource, ImageTarget, PlaceOptions, PutOptions } from './types.ts'

/** An image of the local list. */
export async function openStoreSource(name: string, { store }: PlaceOptions): Promise<ImageSource> {
  const { descriptor, names, by } = await findLocalImage(store, name)
  return sourceOf(store, { label: name, descriptor, names: by === undefined ? names : [by] })
}

/** @param names what it was asked for by; all it has, where that was an id */
function sourceOf(
  store: Store,
  {
    label,
    descriptor,
    names,
  }: { readonly label: string; readonly descriptor: Descriptor; readonly names: readonly string[] },
): ImageSource {
  return {
    label,
    resolve: async () => ({ descriptor, bytes: await store.blobs.read(descriptor.digest, maxDocumentBytes) }),
    images: async () => [{ root: descriptor, names }],
    document: (wanted) => store.blobs.read(wanted.digest, maxDocumentBytes),
    blob: (wanted): BlobSource => ({ openRange: (offset) => readFrom(store, wanted, offset) }),
    has: async ({ digest, size }) => (await store.blobs.size(digest)) === size,
    referrers: (subject) => referrersIn(store, subject),
    close: async () => {},
  }
}

/** A whole blob is verified on the way; Node refuses to begin behind the end of a file. */
function readFrom(store: Store, descriptor: Descriptor, offset: number): Readable {
  if (offset === 0) return store.blobs.stream(descriptor)
  if (offset >= descriptor.size) return Readable.from([])
  return createReadStream(store.blobs.path(descriptor.digest), { start: offset })
}

/** They have no list: every small blob is looked at. */
async function referrersIn(store: Store, subject: Descriptor): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = []
  for (const { kind, id, bytes } of await store.space.list()) {
    // Allocated blocks: a document has a few, whatever the file system.
    if (kind !== 'blob' || bytes > 2 * maxDocumentBytes) continue
    const digest = digestFromHex(id)
    const document = await documentOf(store, digest)
    if (document?.subject !== subject.digest) continue
    found.push(document.descriptor)
  }
  return found.sort((a, b) => (a.digest < b.digest ? -1 : 1))
}

async function documentOf(store: Store, digest: Digest) {
  const size = await store.blobs.size(digest)
  if (size === undefined || size > maxDocumentBytes || !(await beginsAsObject(store, digest)))
    return undefined
  const bytes = await store.blobs.read(digest, maxDocumentBytes)
  const parsed = parsedIfPossible(bytes)
  if (parsed === undefined) return undefined
  const { mediaType, artifactType, subject, annotations } =
    parsed.type === 'index' ? parsed.index : parsed.manifest
  const type = artifactType ?? (parsed.type === 'manifest' ? parsed.manifest.config.mediaType : undefined)
  return {
    subject: subject?.digest,
    descriptor: { mediaType, digest, size, artifactType: type, annotations },
  }
}

async function beginsAsObject(store: Store, digest: Digest): Promise<boolean> {
  for await (const chunk of createReadStream(store.blobs.path(digest), { end: 0 })) return chunk[0] === 0x7b
  return false
}

/** Most blobs that begin like one are no manifests. */
function parsedIfPossible(bytes: Buffer): ManifestOrIndex | undefined {
  try {
    return parseManifestOrIndex(bytes)
  } catch {
    return undefined
  }
}

/**
 * Names of the local image list.
 * @param names in full form; without one the image is kept under its digest, without a name
 */
export function openStoreTarget(names: readonly string[], options: PlaceOptions): ImageTarget {
  const { store, signal } = options
  return {
    label: names.join(', '),
    async putBlob(descriptor, source, { onBytes }) {
      if ((await store.blobs.size(descriptor.digest)) === descriptor.size) return 'exists'
      if (source.download === undefined) {
        await store.blobs.put(counted(source.openRange(0), onBytes), descriptor)
      } else await download(store, descriptor, source.download, { signal, onBytes })
      return 'sent'
    },
    async putDocument({ bytes, descriptor }) {
      await store.blobs.put(bytes, descriptor)
    },
    async name({ bytes, descriptor }) {
      await store.blobs.put(bytes, descriptor)
      if (names.length > 0) await store.images.set(names, descriptor)
      else await store.images.keep(descriptor)
    },
    commit: async () => {},
    // Blobs without a name are cache: whoever comes next may have them.
    abort: async () => {},
  }
}

async function download(
  store: Store,
  descriptor: Descriptor,
  from: NonNullable<BlobSource['download']>,
  { signal, onBytes }: PutOptions,
): Promise<void> {
  const ingest = await store.blobs.ingest()
  try {
    const file = fileSink(ingest.fd)
    const write: typeof file.write = (chunk, at) => onDisk('write', ingest.path, () => file.write(chunk, at))
    await from({ write }, { signal, onProgress: onBytes })
    await ingest.commit({ digest: descriptor.digest, size: descriptor.size })
  } catch (error) {
    await ingest.abort()
    throw error
  }
}

/** The full form of a name for the local list. @throws {UserError} `ERR_REFERENCE_INVALID` */
export function localName(text: string): string {
  return formatReference(withDefaultTag(parseReference(text)))
}

/** Whether a local name may stand for one of these: who asks for `name@digest` gets what the list has under it. */
export function mayMean(name: string, meant: readonly Pick<Descriptor, 'digest'>[]): boolean {
  const { digest } = parseReference(name)
  return digest === undefined || meant.some((one) => one.digest === digest)
}
