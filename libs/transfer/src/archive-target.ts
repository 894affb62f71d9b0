import { type FileHandle, open } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import { verifyingStream } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type ArchivedImage,
  isAttestation,
  isIndexType,
  parseIndex,
  writeDockerArchive,
  writeOciArchive,
} from '@tsbuild/oci'
import { fileSink } from '@tsbuild/registry'
import { counted, joined } from './counting.ts'
import { fileChunks } from './file-chunks.ts'
import type { BlobSource, ImageDocument, ImageTarget, PlaceOptions, PutOptions } from './types.ts'

/** How an archive is written. */
export interface ArchiveTargetOptions {
  readonly format: 'oci' | 'docker'
  /** For messages. */
  readonly label: string
  /** Gives the stream of the file, which appears when `write` has ended well. */
  readonly write: (write: (out: Writable) => Promise<void>) => Promise<void>
  /** What the next image that is named is called. */
  readonly names: () => Pick<ArchivedImage, 'names' | 'refNames'>
}

/**
 * Writes an archive. It is one stream, so it is written at the end: what is far away is fetched before, side by side, into the store's
 * ingest; what is near is read when its turn comes.
 *
 * Errors of `putDocument` and `name`: {UserError} `ERR_UNSUPPORTED` for what a docker archive cannot hold
 */
export function openArchiveTarget(archive: ArchiveTargetOptions, options: PlaceOptions): ImageTarget {
  const { store, signal } = options
  const images: ArchivedImage[] = []
  const sources = new Map<Digest, () => Readable>()
  const spools: { close(): Promise<void> }[] = []
  const close = async () => {
    for (const spool of spools.splice(0)) await spool.close()
  }
  const addDocument = ({ descriptor, bytes }: ImageDocument) =>
    void sources.set(descriptor.digest, () => Readable.from([bytes]))
  return {
    label: archive.label,
    async putBlob(descriptor, source, put) {
      if (sources.has(descriptor.digest)) return 'exists'
      if (source.download === undefined) {
        sources.set(descriptor.digest, () => {
          const verified = verifyingStream(descriptor, `blob ${descriptor.digest}`)
          return joined(counted(source.openRange(0), put.onBytes), verified)
        })
      } else {
        const spool = await fetchToSpool(store, source.download, { ...put, signal })
        spools.push(spool)
        sources.set(descriptor.digest, spool.read)
      }
      return 'sent'
    },
    async putDocument(document, role) {
      addDocument(document)
      if (role === 'referrer' && archive.format === 'oci')
        images.push({ root: document.descriptor, names: [] })
    },
    async name(document) {
      if (archive.format === 'docker') assertOnePlatform(archive.label, document)
      addDocument(document)
      images.push({ root: document.descriptor, ...archive.names() })
    },
    async commit() {
      const open = (digest: Digest) => sources.get(digest)?.() ?? missing(digest)
      const write = archive.format === 'oci' ? writeOciArchive : writeDockerArchive
      await archive.write((out) => write(out, { images, open }, { signal }))
      await close()
    },
    abort: close,
  }
}

function missing(digest: Digest): never {
  throw new TypeError(`nobody put ${digest} into the archive`)
}

/** Before anything is moved for it. */
function assertOnePlatform(label: string, { descriptor, bytes }: ImageDocument): void {
  if (!isIndexType(descriptor.mediaType)) return
  const images = parseIndex(bytes, descriptor.mediaType).manifests.filter((entry) => !isAttestation(entry))
  if (images.length === 1) return
  throw new UserError(
    'ERR_UNSUPPORTED',
    `Cannot write "${label}": a docker archive holds one platform of an image, and here are ${images.length}`,
    {
      hints: ['Choose one with --platform, or write an OCI archive.'],
    },
  )
}

async function fetchToSpool(
  store: PlaceOptions['store'],
  download: NonNullable<BlobSource['download']>,
  { signal, onBytes }: PutOptions,
): Promise<{ readonly read: () => Readable; close(): Promise<void> }> {
  const ingest = await store.blobs.ingest()
  let file: FileHandle | undefined
  const close = async () => {
    await file?.close()
    await ingest.abort()
  }
  try {
    await download(fileSink(ingest.fd), { signal, onProgress: onBytes })
    const opened = await open(ingest.path, 'r')
    file = opened
    return { read: () => Readable.from(fileChunks(opened), { objectMode: false }), close }
  } catch (error) {
    await close()
    throw error
  }
}
