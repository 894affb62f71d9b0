import type { Digest } from '@tsbuild/digest'
import { invalidDocument } from './json-document.ts'
import { type ManifestOrIndex, parseManifestOrIndex } from './manifest.ts'
import { isIndexType, isManifestType } from './media-types.ts'
import { type OpenBlob, readDocument } from './read-blob.ts'
import type { Descriptor, Manifest } from './types.ts'

const maxIndexDepth = 4

/** Everything that is reachable from a manifest or an index. */
export interface ImageBlobs {
  /** Each blob once, sorted by digest; the root is one of them. */
  readonly blobs: readonly Descriptor[]
  /** The bytes of manifests and indexes, which had to be read to get here. */
  readonly documents: ReadonlyMap<Digest, Buffer>
  /** The image manifests in the order in which they are reached. */
  readonly manifests: readonly { readonly descriptor: Descriptor; readonly manifest: Manifest }[]
}

/**
 * Walks from a manifest or an index down to configs and layers.
 *
 * @throws {UserError} `ERR_MANIFEST_INVALID`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`; what `open` throws
 */
export async function collectImageBlobs(root: Descriptor, open: OpenBlob): Promise<ImageBlobs> {
  const blobs = new Map<Digest, Descriptor>()
  const documents = new Map<Digest, Buffer>()
  const manifests: { descriptor: Descriptor; manifest: Manifest }[] = []

  const visit = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (depth > maxIndexDepth)
      throw invalidDocument('image index', `indexes are nested more than ${maxIndexDepth} deep`)
    const seen = blobs.get(descriptor.digest)
    if (seen !== undefined && seen.size !== descriptor.size) {
      throw invalidDocument(
        'image',
        `${descriptor.digest} is said to have ${seen.size} and ${descriptor.size} bytes`,
      )
    }
    if (seen !== undefined) return
    blobs.set(descriptor.digest, descriptor)
    if (!isManifestType(descriptor.mediaType) && !isIndexType(descriptor.mediaType)) return
    const bytes = await readDocument(open, descriptor)
    documents.set(descriptor.digest, bytes)
    const parsed = parseManifestOrIndex(bytes, descriptor.mediaType)
    if (parsed.type === 'manifest') manifests.push({ descriptor, manifest: parsed.manifest })
    for (const child of childrenOf(parsed)) await visit(child, depth + 1)
  }

  await visit(root, 0)
  const sorted = [...blobs.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  return { blobs: sorted, documents, manifests }
}

function childrenOf(parsed: ManifestOrIndex): readonly Descriptor[] {
  return parsed.type === 'index'
    ? parsed.index.manifests
    : [parsed.manifest.config, ...parsed.manifest.layers]
}
