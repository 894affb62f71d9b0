import type { Compression, Native } from '@tsbuild/native'
import type { Descriptor } from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import type { LayerSource } from './scan.ts'

/** As layers are compressed where nobody says otherwise. */
const usual: Readonly<Record<Compression['format'], number>> = { gzip: 6, zstd: 3, none: 0 }

/**
 * Makes a lost layer blob again from the snapshot that it was made of.
 *
 * @returns whether the bytes came out the same: not where the layer came from elsewhere, or was compressed in another way
 */
export async function remakeLayer(
  store: Store,
  native: Pick<Native, 'diff'>,
  { digest, size }: Descriptor,
  { snapshot, mediaType }: LayerSource,
): Promise<boolean> {
  if (!store.snapshots.has(snapshot)) return false
  const format = /[+.]gzip$/.test(mediaType) ? 'gzip' : /[+.]zstd$/.test(mediaType) ? 'zstd' : 'none'
  const ingest = await store.blobs.ingest()
  try {
    const compression = { format, level: usual[format] } as const
    const upper = store.snapshots.path(snapshot)
    const made = await native.diff({ upper, compression, clampMtime: null }, ingest.fd)
    if (made.digest !== digest) return false
    await ingest.commit({ digest, size })
    return true
  } finally {
    await ingest.abort()
  }
}
