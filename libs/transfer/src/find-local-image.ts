import { digestHex, isDigest } from '@tsbuild/digest'
import { isBuildError, UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatReference,
  isAttestation,
  isIndexType,
  maxDocumentBytes,
  parseIndex,
  parseManifest,
  parseReference,
  withDefaultTag,
} from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'

/** An image of the local list. */
export interface FoundImage {
  readonly descriptor: Descriptor
  /** Every name that it has, in full form; empty for one without a name. */
  readonly names: readonly string[]
  /** The name that it was found by; undefined where that was an id. */
  readonly by: string | undefined
}

const idForm = /^(?:sha256:)?([0-9a-f]{4,64})$/

/**
 * Finds an image of the local list: by name, by name and digest, or by the digest of its manifest or config, or the beginning of one
 * (at least four digits).
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND` for none and for an id that several have, `ERR_REFERENCE_INVALID` for what is neither
 */
export async function findLocalImage(store: Store, text: string): Promise<FoundImage> {
  const images = store.images.all()
  const namesOf = ({ digest }: Descriptor) =>
    images.flatMap(({ name, descriptor }) =>
      descriptor.digest === digest && name !== undefined ? [name] : [],
    )
  const named = byName(images, text)
  if (named !== undefined)
    return { descriptor: named.descriptor, names: namesOf(named.descriptor), by: named.name }
  const [, hex] = idForm.exec(text) ?? []
  const found = hex === undefined ? new Map<string, Descriptor>() : await byId(store, images, hex)
  const [only] = found.values()
  if (only !== undefined && found.size === 1) return { descriptor: only, names: namesOf(only), by: undefined }
  if (found.size > 1)
    throw new UserError(
      'ERR_IMAGE_NOT_FOUND',
      `Cannot find image "${text}": ${found.size} local images have ids that begin so`,
      {
        hints: [...found.values()].flatMap(namesOf),
      },
    )
  // What can be no name says so itself.
  parseIfName(text)
  throw new UserError(
    'ERR_IMAGE_NOT_FOUND',
    `Cannot find image "${text}": there is no local image of this name`,
    {
      hints: ['`tsbuild images` lists them.'],
    },
  )
}

type Listed = { readonly name: string | undefined; readonly descriptor: Descriptor }

function byName(
  images: readonly Listed[],
  text: string,
): { descriptor: Descriptor; name: string } | undefined {
  if (/^sha256:/.test(text) || /^[0-9a-f]{64}$/.test(text)) return undefined
  let reference: ReturnType<typeof parseReference>
  try {
    reference = withDefaultTag(parseReference(text))
  } catch (error) {
    // A name that another tool gave has another form.
    if (!isBuildError(error) || error.code !== 'ERR_REFERENCE_INVALID') throw error
    const same = images.findLast(({ name }) => name === text)
    return same === undefined ? undefined : { descriptor: same.descriptor, name: text }
  }
  const full = formatReference(reference)
  const exact = images.findLast(({ name }) => name === full)
  if (exact !== undefined) return { descriptor: exact.descriptor, name: full }
  const { digest, registry, repository } = reference
  if (digest === undefined) return undefined
  // `name@digest` is whatever name of this repository has it.
  const prefix = `${registry}/${repository}`
  const pinned = images.findLast(
    ({ name, descriptor }) =>
      descriptor.digest === digest &&
      name !== undefined &&
      (name.startsWith(`${prefix}:`) || name.startsWith(`${prefix}@`)),
  )
  return pinned?.name === undefined ? undefined : { descriptor: pinned.descriptor, name: pinned.name }
}

function parseIfName(text: string): void {
  if (idForm.test(text) && (text.startsWith('sha256:') ? isDigest(text) || text.length < 71 : true)) return
  parseReference(text)
}

/** Images whose own ids begin so; where there are none, indexes that have one whose do. */
async function byId(store: Store, images: readonly Listed[], hex: string): Promise<Map<string, Descriptor>> {
  const own = new Map<string, Descriptor>()
  const within = new Map<string, Descriptor>()
  for (const { descriptor } of images) {
    const ids = await idsOf(store, descriptor).catch((error: unknown): Ids => {
      // One that is damaged is not in the way of another.
      if (!isBuildError(error)) throw error
      return { own: [digestHex(descriptor.digest)], within: [] }
    })
    if (ids.own.some((id) => id.startsWith(hex))) own.set(descriptor.digest, descriptor)
    else if (ids.within.some((id) => id.startsWith(hex))) within.set(descriptor.digest, descriptor)
  }
  return own.size > 0 ? own : within
}

interface Ids {
  readonly own: readonly string[]
  /** Of the images of an index. */
  readonly within: readonly string[]
}

/** Hex digits of the digests that an image is known by: of its manifest or index, and of its config. */
async function idsOf(store: Store, { digest, mediaType }: Descriptor): Promise<Ids> {
  const { blobs } = store
  const own = digestHex(digest)
  if ((await blobs.size(digest)) === undefined) return { own: [own], within: [] }
  const bytes = await blobs.read(digest, maxDocumentBytes)
  if (!isIndexType(mediaType))
    return { own: [own, digestHex(parseManifest(bytes, mediaType).config.digest)], within: [] }
  const within: string[] = []
  for (const entry of parseIndex(bytes, mediaType).manifests) {
    // One in another is not looked into.
    if (isAttestation(entry)) continue
    within.push(
      ...(isIndexType(entry.mediaType) ? [digestHex(entry.digest)] : (await idsOf(store, entry)).own),
    )
  }
  return { own: [own], within }
}
