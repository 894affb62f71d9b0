import { digestBytes } from '@tsbuild/digest'
import {
  type Descriptor,
  type ImageConfig,
  isAttestation,
  isIndexType,
  type Manifest,
  mediaTypes,
  parseImageConfig,
  parseIndex,
  parseManifest,
  samePlatform,
  serializeIndex,
} from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'

/** One image that a local name stands for. */
export interface PlatformImage {
  /** Of the manifest. */
  readonly descriptor: Descriptor
  readonly manifest: Manifest
  readonly config: ImageConfig
}

/**
 * The images that a descriptor of the local image list stands for: one for each platform, in the order of their index.
 * @throws {EnvironmentError} `ERR_STORE_CORRUPT`
 */
export async function imagesOf({ blobs }: Store, descriptor: Descriptor): Promise<readonly PlatformImage[]> {
  const bytes = await blobs.read(descriptor.digest)
  const manifests = isIndexType(descriptor.mediaType)
    ? parseIndex(bytes, descriptor.mediaType).manifests.filter((entry) => !isAttestation(entry))
    : [descriptor]
  return await Promise.all(
    manifests.map(async (found) => {
      const manifest = parseManifest(await blobs.read(found.digest), found.mediaType)
      return {
        descriptor: found,
        manifest,
        config: parseImageConfig(await blobs.read(manifest.config.digest)),
      }
    }),
  )
}

/**
 * Gives an image a local name, beside the images of other platforms that have the name already: then it is the name of an
 * index. One of the same platform is replaced.
 *
 * @returns what the name stands for now
 */
export async function nameForPlatform(
  store: Store,
  name: string,
  { descriptor, config }: Pick<PlatformImage, 'descriptor' | 'config'>,
): Promise<Descriptor> {
  return await store.locks.withLock(`name ${name}`, async () => {
    const known = await store.images.get(name)
    const others = (known === undefined ? [] : await imagesOf(store, known)).filter(
      (image) => !samePlatform(image.config.platform, config.platform),
    )
    const target =
      others.length === 0 ? descriptor : await putIndex(store, [...others, { descriptor, config }])
    await store.images.set([name], target)
    return target
  })
}

async function putIndex(
  { blobs }: Store,
  images: readonly Pick<PlatformImage, 'descriptor' | 'config'>[],
): Promise<Descriptor> {
  const manifests = images.map(({ descriptor, config }) => ({ ...descriptor, platform: config.platform }))
  const bytes = serializeIndex({ mediaType: mediaTypes.ociIndex, manifests, annotations: {} })
  const descriptor = { mediaType: mediaTypes.ociIndex, digest: digestBytes(bytes), size: bytes.length }
  await blobs.put(bytes, descriptor)
  return descriptor
}
