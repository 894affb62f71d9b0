import type { Readable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import { opener } from './export-image.ts'
import type { AssembledTree, ExporterOptions } from './types.ts'

/** Opens what belongs to a tree; a layer of a base image that is not here yet is fetched when it is opened. */
export function openTree(
  options: ExporterOptions,
  tree: AssembledTree,
  signal: AbortSignal,
): (digest: Digest) => Promise<Readable> {
  const open = opener(options, tree)
  const origins = new Map(
    tree.manifests.flatMap(({ layers }) =>
      layers.map(({ descriptor, origin }) => [descriptor.digest, origin]),
    ),
  )
  return async (digest) => {
    const origin = origins.get(digest)
    if (origin !== undefined && (await options.store.blobs.size(digest)) === undefined)
      await options.fetch(origin, signal)
    return open(digest)
  }
}
