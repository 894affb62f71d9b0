import { setMaxListeners } from 'node:events'
import { UserError } from '@tsbuild/errors'
import type { Descriptor } from '@tsbuild/oci'
import { isBlobUnknown } from '@tsbuild/registry'
import pLimit from 'p-limit'
import { type ImageTree, readImageTree } from './image-tree.ts'
import { openSource, openTarget } from './open-place.ts'
import type { ImagePlace } from './place.ts'
import { localName, mayMean } from './store-place.ts'
import type { ImageDocument, ImageSource, ImageTarget, OnProgress, PlaceOptions, Selection } from './types.ts'

/** Blobs under way at once; a registry's own limit of requests comes on top. */
const concurrency = 4

/** For {@link copyImage}. */
export interface CopyOptions extends PlaceOptions, Selection {
  readonly onProgress?: OnProgress | undefined
}

/** What was copied. */
export interface CopiedImage {
  /** Of the image in its new place. */
  readonly root: Descriptor
  /** Whether anything was moved that was not there yet, manifests apart. */
  readonly moved: boolean
  readonly blobs: number
  readonly referrers: number
}

/**
 * Copies an image from one place to another: its whole tree, byte for byte, so that every digest stays. Blobs come first, then
 * manifests from below, and the name last; what is not verified gets no final name. What the target has is not moved, and between
 * repositories of one registry blobs are mounted.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`, `ERR_MANIFEST_INVALID`, `ERR_ARCHIVE_INVALID`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`,
 *   `ERR_UNSUPPORTED` for an index in a docker archive, `ERR_CANCELLED`
 * @throws {EnvironmentError} what registries, the store and the disk throw
 * @see docs/adr/0026-places-of-images.md
 */
export async function copyImage(
  from: ImagePlace,
  to: ImagePlace,
  options: CopyOptions,
): Promise<CopiedImage> {
  return await withSource(from, options, (source) =>
    withTarget(
      () => openTarget(to, options),
      async (target) => {
        const found = await source.resolve()
        const tree = await readImageTree(source, found, options)
        if (to.type === 'store') assertMeant(localName(to.name), [found.descriptor, tree.root.descriptor])
        return await copyTree(source, target, tree, options)
      },
    ),
  )
}

/** One platform of an image may have the name by the digest of all. @throws {UserError} `ERR_DIGEST_MISMATCH` */
function assertMeant(name: string, [found, root]: readonly [Descriptor, Descriptor]): void {
  if (mayMean(name, [found, root])) return
  throw new UserError(
    'ERR_DIGEST_MISMATCH',
    `Cannot name an image "${name}": it has the digest ${found.digest}`,
  )
}

/** Opens a place, and closes it whatever happens. */
export async function withSource<T>(
  place: ImagePlace,
  options: PlaceOptions,
  use: (source: ImageSource) => Promise<T>,
): Promise<T> {
  const source = await openSource(place, options)
  try {
    return await use(source)
  } finally {
    await source.close()
  }
}

/** Ends a target well after `use`, and otherwise takes it back. */
export async function withTarget<T>(
  open: () => Promise<ImageTarget>,
  use: (target: ImageTarget) => Promise<T>,
): Promise<T> {
  const target = await open()
  try {
    const result = await use(target)
    await target.commit()
    return result
  } catch (error) {
    await target.abort()
    throw error
  }
}

/** Puts a tree into a target and names its root. Archives have it when they are committed. */
export async function copyTree(
  source: ImageSource,
  target: ImageTarget,
  tree: ImageTree,
  options: Pick<CopyOptions, 'signal' | 'onProgress'>,
): Promise<CopiedImage> {
  const put = async () => {
    const any = await putTree(source, target, tree, options)
    options.signal?.throwIfAborted()
    await target.name(tree.root)
    return any
  }
  const moved = await put().catch((error: unknown) => {
    // A registry's garbage was collected after it had said that a blob is there: what is missing by now is sent, once.
    if (isBlobUnknown(error)) return put()
    throw error
  })
  return { root: tree.root.descriptor, moved, blobs: tree.blobs.length, referrers: tree.referrers.length }
}

/**
 * Puts everything of a tree into a target except for its root, unless something refers to that.
 * @returns whether any blob had to be moved
 */
export async function putTree(
  source: ImageSource,
  target: ImageTarget,
  tree: ImageTree,
  { signal, onProgress }: Pick<CopyOptions, 'signal' | 'onProgress'>,
): Promise<boolean> {
  // Each blob listens to it: more than Node's ten are no leak.
  if (signal !== undefined) setMaxListeners(0, signal)
  const limit = pLimit({ concurrency, rejectOnClear: true })
  let moved = false
  const put = async (blob: Descriptor): Promise<void> => {
    signal?.throwIfAborted()
    const { digest, size: totalBytes } = blob
    const onBytes = (currentBytes: number) => onProgress?.({ digest, currentBytes, totalBytes })
    const outcome = await target.putBlob(blob, source.blob(blob), {
      signal,
      onBytes,
      from: source.repository,
    })
    moved ||= outcome === 'sent'
    onProgress?.({ digest, currentBytes: outcome === 'sent' ? totalBytes : 0, totalBytes, outcome })
  }
  const puts = tree.blobs.map((blob) => limit(() => put(blob)))
  try {
    await Promise.all(puts)
  } catch (error) {
    // Those that wait do not begin, and those under way end before what they write to is taken away.
    limit.clearQueue()
    await Promise.allSettled(puts)
    throw error
  }
  const putAll = async (documents: readonly ImageDocument[], role: 'part' | 'referrer') => {
    for (const document of documents) {
      signal?.throwIfAborted()
      await target.putDocument(document, role)
    }
  }
  await putAll(tree.below, 'part')
  if (tree.referrers.length > 0) {
    // A registry may refuse what is about an image that it does not have.
    await putAll([tree.root], 'part')
    await putAll(tree.referrers, 'referrer')
  }
  return moved
}
