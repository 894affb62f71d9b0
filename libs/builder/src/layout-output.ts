import { createReadStream } from 'node:fs'
import { type AssembledImage, fetchLayers } from '@tsbuild/exporter'
import type { Descriptor } from '@tsbuild/oci'
import type { ImageTarget } from './image-outputs.ts'

/**
 * Writes an image to the directory of an OCI layout, or adds it to one. The index names it when every blob is there; what has the
 * same tag there is replaced. Builds over one store take turns.
 *
 * @param dest absolute
 * @throws {UserError} `ERR_ARCHIVE_INVALID` for a directory that holds something else
 * @throws {EnvironmentError} `ERR_OUTPUT`
 */
export async function writeLayout(
  { exporter, tree, names, context: { signal } }: ImageTarget,
  dest: string,
): Promise<void> {
  // Most builds write no layout.
  const { openDirectoryTarget } = await import('@tsbuild/transfer')
  const { store } = exporter
  await fetchLayers(exporter, tree.manifests, signal)
  const source = ({ digest }: Descriptor) => ({
    openRange: (start: number) => createReadStream(store.blobs.path(digest), { start }),
  })
  const write = async () => {
    const target = await openDirectoryTarget(dest, { names }, { signal })
    try {
      // One after the other: each is verified on the way, which this thread does.
      for (const blob of distinctBlobs(tree.manifests))
        await target.putBlob(blob, source(blob), { signal, onBytes: () => {} })
      for (const { manifest, manifestBytes } of tree.manifests) {
        const { mediaType, digest, size } = manifest
        await target.putDocument({
          descriptor: { mediaType, digest, size },
          bytes: Buffer.from(manifestBytes),
        })
      }
      await target.name({ descriptor: tree.root, bytes: Buffer.from(tree.rootBytes) })
      await target.commit()
    } catch (error) {
      await target.abort()
      throw error
    }
  }
  await store.locks.withLock(`layout ${dest}`, write, { signal })
}

function distinctBlobs(manifests: readonly AssembledImage[]): readonly Descriptor[] {
  const blobs = manifests.flatMap(({ config, layers }) => [
    config,
    ...layers.map(({ descriptor }) => descriptor),
  ])
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()]
}
