import type { CompressionFormat, LayerForm, LayerFormat, Native } from '@tsbuild/native'
import type { Descriptor } from '@tsbuild/oci'
import { formatOfForm, type Store, type StoredForm } from '@tsbuild/store'
import type { LayerSource } from './scan.ts'

/** As layers are compressed where nobody says otherwise. */
const usual: Readonly<Record<LayerFormat, number>> = { gzip: 6, zstd: 3, none: 0 }

/**
 * Makes a lost layer blob again from the snapshot that it was made of.
 *
 * @returns whether the bytes came out the same: not where the layer came from elsewhere, or was compressed in another way
 */
export async function remakeLayer(
  store: Store,
  native: Pick<Native, 'diff'>,
  { digest, size }: Descriptor,
  { snapshot, mediaType, form }: LayerSource,
): Promise<boolean> {
  if (!store.snapshots.has(snapshot)) return false
  const ingest = await store.blobs.ingest()
  try {
    const upper = store.snapshots.path(snapshot)
    const made = await native.diff({ upper, form: formOf(form, mediaType) }, ingest.fd)
    if (made.digest !== digest) return false
    await ingest.commit({ digest, size })
    return true
  } finally {
    await ingest.abort()
  }
}

/** As what it was written. Of one from before that was kept, as what most are. */
function formOf(form: StoredForm | undefined, mediaType: string): LayerForm {
  const format = form === undefined ? '' : formatOfForm(form)
  if (form !== undefined && isFormat(format)) {
    const { level, clampMtime } = form
    return { compression: { format, level }, clampMtime }
  }
  const named = /[+.]gzip$/.test(mediaType) ? 'gzip' : /[+.]zstd$/.test(mediaType) ? 'zstd' : 'none'
  return { compression: { format: named, level: usual[named] }, clampMtime: null }
}

function isFormat(format: string): format is CompressionFormat {
  return ['none', 'gzip', 'zstd', 'estargz'].includes(format)
}
