import { digestBytes } from '@tsbuild/digest'
import type { Descriptor } from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'

/** Stores a config, manifest or index, if it is not there, and names it. */
export async function putDocument(
  { blobs }: Store,
  mediaType: string,
  bytes: Uint8Array,
): Promise<Descriptor> {
  const descriptor = { mediaType, digest: digestBytes(bytes), size: bytes.length }
  if ((await blobs.size(descriptor.digest)) === undefined) await blobs.put(bytes, descriptor)
  return descriptor
}

/** A descriptor with more annotations; itself where there are none. */
export function withAnnotations(
  descriptor: Descriptor,
  annotations: Readonly<Record<string, string>> = {},
): Descriptor {
  if (Object.keys(annotations).length === 0) return descriptor
  return { ...descriptor, annotations: { ...descriptor.annotations, ...annotations } }
}
