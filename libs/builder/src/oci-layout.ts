import { join } from 'node:path'
import { openInside } from '@tsbuild/context'
import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  findInLayout,
  type Platform,
  readDocument,
  readLayoutFile,
  readLayoutIndex,
  selectPlatform,
} from '@tsbuild/oci'
import type { ImageLayerRef } from '@tsbuild/snapshot'
import type { Store } from '@tsbuild/store'

const scheme = 'oci-layout://'
const tagAnnotation = 'org.opencontainers.image.ref.name'

/** An image of a layout on disk, as a named context gives it. */
export interface LayoutReference {
  /** Absolute. */
  readonly path: string
  readonly tag: string | undefined
  readonly digest: string | undefined
}

/** Whether an image is to be found in a layout and not in a registry. */
export function isLayoutReference(reference: string): boolean {
  return reference.startsWith(scheme)
}

/** Reads `oci-layout://PATH[:TAG|@DIGEST]`. A colon before the last slash belongs to the path. */
export function parseLayoutReference(reference: string): LayoutReference {
  const text = reference.slice(scheme.length)
  const [, before = text, digest] = /^(.*)@(sha256:[0-9a-f]{64})$/s.exec(text) ?? []
  const [, path = before, tag] = /^(.*):([^/:]*)$/s.exec(before) ?? []
  return { path, tag: tag === '' ? undefined : tag, digest }
}

/**
 * Finds the image: by digest, by tag, or without either the only one there is, the one called `latest`, or the one for the
 * platform.
 *
 * @throws {UserError} `ERR_CONTEXT_NOT_FOUND` if there is no layout; `ERR_ARCHIVE_INVALID`, `ERR_IMAGE_NOT_FOUND`
 */
export async function findLayoutImage(
  { path, tag, digest }: LayoutReference,
  platform: Platform,
): Promise<Descriptor> {
  const index = await readLayoutIndex((name) => layoutFile(path, name))
  if (digest !== undefined) return findInLayout(index, { digest })
  if (tag !== undefined) return findInLayout(index, { name: tag })
  if (index.manifests.length === 1) return findInLayout(index, {})
  const latest = index.manifests.find(({ annotations }) => annotations?.[tagAnnotation] === 'latest')
  return latest ?? selectPlatform(index, platform) ?? findInLayout(index, {})
}

/** Reads a manifest, an index or a config of the layout and verifies it. @throws as `readDocument` */
export async function readLayoutDocument({ path }: LayoutReference, descriptor: Descriptor): Promise<Buffer> {
  return await missingBlob(path, descriptor, () => readDocument(openBlob(path), descriptor))
}

/**
 * Brings a layer of the layout into the store.
 * @throws {UserError} `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` if its bytes are others than its name says
 */
export async function fetchLayoutLayer(store: Store, layer: ImageLayerRef): Promise<void> {
  const { path } = parseLayoutReference(layer.reference)
  await missingBlob(path, layer, async () => store.blobs.put(await openBlob(path)(layer.digest), layer))
}

/**
 * Opened before it becomes a stream: one that nobody listens to any more must not fail. The layout may come from an archive,
 * so what leads out of it is not read, and a pipe is not waited for.
 */
const openBlob = (path: string) => async (digest: Descriptor['digest']) => {
  const found = await openInside(path, join(path, 'blobs', ...digest.split(':')))
  if (found.kind === 'file') return found.file.createReadStream()
  const why = found.kind === 'outside' ? 'leads out of it' : 'is no regular file'
  throw new UserError(
    'ERR_ARCHIVE_INVALID',
    `Cannot read the OCI layout "${path}": its blob ${digest} ${why}`,
  )
}

async function missingBlob<T>(
  path: string,
  { digest }: Pick<Descriptor, 'digest'>,
  read: () => Promise<T>,
): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'ENOENT') throw cause
    const message = `Cannot read the OCI layout "${path}": it has no blob ${digest}`
    throw new UserError('ERR_ARCHIVE_INVALID', message, { cause })
  }
}

async function layoutFile(path: string, name: string): Promise<Uint8Array> {
  const subject = `Cannot use the OCI layout "${path}"`
  const bytes = await readLayoutFile(path, name, subject)
  if (bytes === undefined) throw new UserError('ERR_CONTEXT_NOT_FOUND', `${subject}: there is no ${name}`)
  return bytes
}
