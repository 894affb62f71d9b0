import { isBuildError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatReference,
  isAttestation,
  isIndexType,
  parseIndex,
  parseReference,
  withDefaultTag,
} from '@tsbuild/oci'
import { type CopyOptions, copyTree, withSource, withTarget } from './copy-image.ts'
import { indexOf, readImageTree, subjectOf } from './image-tree.ts'
import { openArchive } from './open-place.ts'
import { mayMean, openStoreSource, openStoreTarget } from './store-place.ts'
import type { ImageDocument, ImageSource, PlaceOptions } from './types.ts'

/** For {@link loadArchive} and {@link saveArchive}. */
export type ArchiveCallOptions = Pick<CopyOptions, keyof PlaceOptions | 'platforms' | 'onProgress'>

/** An image that came out of an archive. */
export interface LoadedImage {
  /** In full form; empty for an image without a name. */
  readonly names: readonly string[]
  readonly root: Descriptor
}

/**
 * Brings every image of an archive into the local image list, under its names; one without a name is kept under its digest. A name
 * with a digest that is not the image's is left out: whoever wrote the archive would say what `FROM name@digest` means here. Of an
 * index the platforms that the archive does not have are left out, too: `docker save` writes such.
 *
 * @param path absolute or relative to `cwd`, or `-`
 * @throws as `copyImage`; images that were loaded before the fault stay
 */
export async function loadArchive(
  path: string,
  options: ArchiveCallOptions,
): Promise<readonly LoadedImage[]> {
  return await withSource({ type: 'archive', path }, options, async (source) => {
    const loaded: LoadedImage[] = []
    for (const { root, names } of await source.images()) {
      const found = await withoutAbsent(source, { descriptor: root, bytes: await source.document(root) })
      const tree = await readImageTree(source, found, { ...options, strict: true, referrers: true })
      const full = names.flatMap(fullName).filter((name) => mayMean(name, [root, tree.root.descriptor]))
      const copied = await withTarget(
        async () => openStoreTarget(full, options),
        (target) => copyTree(source, target, tree, options),
      )
      loaded.push({ names: full, root: copied.root })
    }
    return loaded
  })
}

/** A layout may call an image anything; a tag alone is no name. */
function fullName(name: string): readonly string[] {
  try {
    const reference = parseReference(name)
    return /[/:]/.test(name) ? [formatReference(withDefaultTag(reference))] : []
  } catch (error) {
    if (isBuildError(error) && error.code === 'ERR_REFERENCE_INVALID') return []
    throw error
  }
}

async function withoutAbsent(source: ImageSource, document: ImageDocument): Promise<ImageDocument> {
  const { descriptor, bytes } = document
  if (!isIndexType(descriptor.mediaType)) return document
  const index = parseIndex(bytes, descriptor.mediaType)
  const there = new Set<string>()
  for (const entry of index.manifests) if ((await source.has?.(entry)) !== false) there.add(entry.digest)
  if (there.size === index.manifests.length) return document
  const kept = index.manifests.filter((entry) => there.has(entry.digest) && there.has(subjectOf(entry)))
  const images = kept.filter((entry) => !isAttestation(entry))
  const [only] = images
  // Nothing is there: the error is that of the first that is missing.
  if (only === undefined) return document
  if (kept.length > 1) return indexOf(index, kept)
  const { mediaType, digest, size } = only
  return { descriptor: { mediaType, digest, size }, bytes: await source.document(only) }
}

/** For {@link saveArchive}. */
export interface SaveOptions extends ArchiveCallOptions {
  readonly format: 'oci' | 'docker'
  /** With what says something about the images; not in a docker archive. */
  readonly referrers?: boolean | undefined
}

/**
 * Writes images of the local list into one archive, what they have in common once. A name is written with its image; an id brings all
 * of the image's names.
 *
 * @param path absolute or relative to `cwd`, or `-`
 * @returns the images in the order of `names`
 * @throws as `copyImage`
 */
export async function saveArchive(
  names: readonly string[],
  path: string,
  options: SaveOptions,
): Promise<readonly Descriptor[]> {
  const wanted = await wantedImages(names, options)
  let current: readonly string[] = []
  const target = async () => openArchive(options.format, { path }, options, () => ({ names: current }))
  return await withTarget(target, async (archive) => {
    const saved: Descriptor[] = []
    for (const { source, names: called } of wanted) {
      const tree = await readImageTree(source, await source.resolve(), {
        ...options,
        strict: true,
        referrers: options.referrers === true && options.format === 'oci',
      })
      current = called
      saved.push((await copyTree(source, archive, tree, options)).root)
    }
    return saved
  })
}

/** An image that is named twice is in the archive once, with both names. */
async function wantedImages(names: readonly string[], options: PlaceOptions) {
  const found = new Map<string, { source: ImageSource; names: string[] }>()
  for (const name of names) {
    const source = await openStoreSource(name, options)
    const [image] = await source.images()
    if (image === undefined) throw new TypeError('a place of one image has none')
    const known = found.get(image.root.digest) ?? { source, names: [] }
    found.set(image.root.digest, known)
    for (const each of image.names) if (!known.names.includes(each)) known.names.push(each)
  }
  return [...found.values()]
}
