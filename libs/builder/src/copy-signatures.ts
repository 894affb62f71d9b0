import type { Digest } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import { type Descriptor, isIndexType, parseIndex, parseReference } from '@tsbuild/oci'
import { attachedTag, copyAttached, registryPlace } from '@tsbuild/signature'
import { copyImage, formatImagePlace, type ImagePlace, type PlaceOptions } from '@tsbuild/transfer'
import type { Machine } from './machine.ts'
import { signedPlace } from './signature-places.ts'

/**
 * Brings the signatures and attestations along that cosign's tags hold about a copied image and the images in it. In a registry they
 * are added to those that are there; in a layout they take the place of their tag. Archives and the local list take one image, and
 * get none.
 *
 * @param root of the image in its new place
 * @returns how many manifests or signatures were added
 */
export async function copySignatures(
  machine: Machine,
  from: ImagePlace,
  to: ImagePlace,
  root: Descriptor,
  options: PlaceOptions,
): Promise<number> {
  if (to.type !== 'registry' && to.type !== 'oci') return 0
  // What comes through a pipe is read once.
  if (from.type === 'docker-archive' || from.type === 'archive' || ('path' in from && from.path === '-'))
    return 0
  const source = signedPlace(machine, formatImagePlace(from), options)
  const digests = await digestsOf(source.place, source.reference, root)
  let added = 0
  for (const digest of digests) {
    if (to.type === 'registry') {
      const target = { place: registryPlace(machine.registry(), options.signal), reference: to.reference }
      added += await copyAttached(source, target, digest)
    } else added += await copyTags(from, to, digest, options)
  }
  return added
}

/** Of the image, and of those in an index. */
async function digestsOf(
  place: ReturnType<typeof signedPlace>['place'],
  reference: ReturnType<typeof signedPlace>['reference'],
  { mediaType, digest }: Descriptor,
): Promise<readonly Digest[]> {
  if (!isIndexType(mediaType)) return [digest]
  const index = await place.resolve({ ...reference, digest })
  // A new index of some of the images is not in the old place, and nobody has signed it.
  if (index === undefined) return []
  return [digest, ...parseIndex(index.bytes, mediaType).manifests.map((child) => child.digest)]
}

async function copyTags(
  from: ImagePlace,
  to: ImagePlace & { readonly type: 'oci' },
  digest: Digest,
  options: PlaceOptions,
): Promise<number> {
  let copied = 0
  for (const kind of ['sig', 'att'] as const) {
    const { tag = '' } = attachedTag(parseReference('layout/image'), digest, kind)
    const source = withTag(from, tag)
    if (source === undefined) continue
    try {
      await copyImage(source, { type: 'oci', path: to.path, name: tag }, options)
      copied += 1
    } catch (error) {
      if (!isBuildError(error) || error.code !== 'ERR_IMAGE_NOT_FOUND') throw error
    }
  }
  return copied
}

function withTag(place: ImagePlace, tag: string): ImagePlace | undefined {
  switch (place.type) {
    case 'registry': {
      const { registry, repository } = place.reference
      return { type: 'registry', reference: { registry, repository, tag } }
    }
    case 'oci':
    case 'oci-archive':
      return { type: place.type, path: place.path, name: tag }
    default:
      return undefined
  }
}
