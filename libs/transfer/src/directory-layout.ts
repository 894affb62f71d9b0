import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, readdir, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { verifyingStream } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  type Index,
  mediaTypes,
  namedDescriptors,
  openLayoutFile,
  readLayoutFile,
  readLayoutIndex,
  serializeIndex,
} from '@tsbuild/oci'
import { fileSink } from '@tsbuild/registry'
import { errnoOf, makeDirectories, outputFailure, replaceBy, syncDirectory } from '@tsbuild/store'
import { counting } from './counting.ts'
import { fileChunks } from './file-chunks.ts'
import { blobName, type LayoutFiles, type LayoutImage, openLayoutSource } from './layout-source.ts'
import type { BlobSource, ImageSource, ImageTarget, PlaceOptions, PutOptions } from './types.ts'

/** Reads a layout directory. @throws {UserError} `ERR_ARCHIVE_INVALID` where there is none */
export async function openDirectorySource(path: string, wanted: LayoutImage): Promise<ImageSource> {
  const files: LayoutFiles = {
    label: path,
    read: (name) => readLayoutFile(path, name),
    chunks: (name, offset) => layoutChunks(path, name, offset),
    has: (name, size) => hasFile(path, name, size),
    close: async () => {},
  }
  return await openLayoutSource(files, wanted)
}

/** Opened when it is read, so that a stream nobody reads costs nothing. */
async function* layoutChunks(root: string, name: string, offset: number): AsyncGenerator<Buffer> {
  const file = await openLayoutFile(root, name)
  if (file === undefined)
    throw new UserError('ERR_ARCHIVE_INVALID', `Cannot read the OCI layout "${root}": it has no ${name}`)
  try {
    yield* fileChunks(file, offset)
  } finally {
    await file.close()
  }
}

async function hasFile(root: string, name: string, size: number): Promise<boolean> {
  const file = await openLayoutFile(root, name)
  try {
    return file !== undefined && (await file.stat()).size === size
  } finally {
    await file?.close()
  }
}

/** What an image is to be called in a layout. */
export interface NamedLayoutImage extends LayoutImage {
  /** In full form: each is an entry with its tag, and with the name for containerd. */
  readonly names?: readonly string[] | undefined
}

/**
 * Writes a layout directory, or adds to one. A new one is made beside its place and renamed there when it is whole; in one that is
 * there each blob gets its name when it is verified and durable, and the index is replaced last.
 *
 * @throws {UserError} `ERR_ARCHIVE_INVALID` for a directory that is something else
 * @throws {EnvironmentError} `ERR_OUTPUT`
 */
export async function openDirectoryTarget(
  path: string,
  { name, digest, names = [] }: NamedLayoutImage,
  { signal }: Pick<PlaceOptions, 'signal'>,
): Promise<ImageTarget> {
  const isNew = await isFree(path)
  const root = isNew ? join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`) : path
  await onOutput(path, () => makeDirectories(join(root, 'blobs/sha256')))
  await assertNoLinks(root)
  const entries: Descriptor[] = []
  return {
    label: path,
    async putBlob(descriptor, source, put) {
      if (await hasFile(root, blobName(descriptor.digest), descriptor.size)) return 'exists'
      await onOutput(path, () => writeBlob(root, descriptor, source, put))
      return 'sent'
    },
    async putDocument({ descriptor, bytes }, role) {
      await onOutput(path, () => putBytes(root, descriptor, bytes, signal))
      if (role === 'referrer') entries.push(descriptor)
    },
    async name({ descriptor, bytes }) {
      if (digest !== undefined && digest !== descriptor.digest)
        throw new UserError(
          'ERR_DIGEST_MISMATCH',
          `Cannot write "${path}": the image has the digest ${descriptor.digest}, and not ${digest}`,
        )
      await onOutput(path, () => putBytes(root, descriptor, bytes, signal))
      entries.push(...namedDescriptors(descriptor, names, name === undefined ? [] : [name]))
    },
    async commit() {
      await onOutput(path, async () => {
        const index = isNew ? undefined : await indexOf(root)
        // What the index names is there after a crash, too.
        await syncDirectory(join(root, 'blobs/sha256'))
        await replace(root, 'oci-layout', '{"imageLayoutVersion":"1.0.0"}')
        await replace(root, 'index.json', serializeIndex(withEntries(index, entries)))
        if (isNew) await settle(root, path)
      })
    },
    async abort() {
      if (isNew) await rm(root, { recursive: true, force: true })
    },
  }
}

/** Whether nothing is there, or an empty directory. */
async function isFree(path: string): Promise<boolean> {
  return await onOutput(path, async () => {
    const names = await readdir(path).catch((error) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (names === undefined || names.length === 0) return true
    if (!names.includes('oci-layout'))
      throw new UserError(
        'ERR_ARCHIVE_INVALID',
        `Cannot write the OCI layout "${path}": the directory holds something else`,
      )
    return false
  })
}

/** A layout that is there may come from an archive: what is written into it does not go elsewhere. */
async function assertNoLinks(root: string): Promise<void> {
  const folder = 'blobs/sha256'
  const [real, wanted] = [await realpath(join(root, folder)), join(await realpath(root), folder)]
  if (real === wanted) return
  throw new UserError(
    'ERR_ARCHIVE_INVALID',
    `Cannot write the OCI layout "${root}": ${folder} is reached through a link`,
  )
}

async function indexOf(root: string): Promise<Index> {
  return await readLayoutIndex(async (name) => {
    const bytes = await readLayoutFile(root, name)
    if (bytes === undefined)
      throw new UserError('ERR_ARCHIVE_INVALID', `Cannot write the OCI layout "${root}": it has no ${name}`)
    return bytes
  })
}

const tagOf = ({ annotations }: Descriptor) => annotations?.['org.opencontainers.image.ref.name']

/** A tag is one image's; without a tag an entry replaces what is the same. */
function withEntries(index: Index | undefined, added: readonly Descriptor[]): Index {
  const isReplaced = (entry: Descriptor) =>
    added.some((one) =>
      tagOf(one) === undefined
        ? tagOf(entry) === undefined && entry.digest === one.digest
        : tagOf(entry) === tagOf(one),
    )
  const kept = (index?.manifests ?? []).filter((entry) => !isReplaced(entry))
  return { mediaType: mediaTypes.ociIndex, annotations: {}, ...index, manifests: [...kept, ...added] }
}

async function putBytes(
  root: string,
  descriptor: Descriptor,
  bytes: Buffer,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (await hasFile(root, blobName(descriptor.digest), descriptor.size)) return
  await writeBlob(
    root,
    descriptor,
    { openRange: () => Readable.from([bytes]) },
    { signal, onBytes: () => {} },
  )
}

/** Under its final name only when its bytes are those of its digest, and durable. */
async function writeBlob(
  root: string,
  descriptor: Descriptor,
  source: BlobSource,
  { signal, onBytes }: PutOptions,
): Promise<void> {
  const temporary = join(root, `blobs/.${randomBytes(8).toString('hex')}.tmp`)
  try {
    if (source.download === undefined) {
      const verified = verifyingStream(descriptor, `blob ${descriptor.digest}`)
      const out = createWriteStream(temporary, { flags: 'wx', flush: true, mode: 0o644 })
      await pipeline(source.openRange(0), counting(onBytes), verified, out, { ...(signal && { signal }) })
    } else {
      const file = await open(temporary, 'wx', 0o644)
      try {
        await source.download(fileSink(file.fd), { signal, onProgress: onBytes })
        await file.sync()
      } finally {
        await file.close()
      }
    }
    await rename(temporary, join(root, blobName(descriptor.digest)))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function replace(root: string, name: string, content: string | Buffer): Promise<void> {
  await replaceBy(join(root, name), (temporary) => writeFile(temporary, content, { flag: 'wx', flush: true }))
}

/** An empty directory in the place gives way to a rename; one that was filled meanwhile does not. */
async function settle(root: string, path: string): Promise<void> {
  await rename(root, path)
  await syncDirectory(dirname(path))
}

/** Failures of the disk, in words. @throws {EnvironmentError} `ERR_OUTPUT`, `ERR_STORE_NO_SPACE` */
async function onOutput<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw errnoOf(error) === undefined ? error : outputFailure(error, `Cannot write "${path}"`)
  }
}
