import { EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import type { ResolvedImage } from '@tsbuild/frontend'
import {
  type Descriptor,
  familiarName,
  formatPlatform,
  formatPlatforms,
  formatReference,
  hostPlatform,
  type ImageReference,
  isIndexType,
  listPlatforms,
  maxDocumentBytes,
  type Platform,
  parseImageConfig,
  parseIndex,
  parseManifest,
  parseReference,
  runsFor,
  samePlatform,
  selectPlatform,
  withDefaultTag,
} from '@tsbuild/oci'
import { fileSink, type RegistryClient } from '@tsbuild/registry'
import type { FetchLayer, FetchWatcher, ImageLayerRef } from '@tsbuild/snapshot'
import { onDisk, type Store } from '@tsbuild/store'
import {
  fetchLayoutLayer,
  findLayoutImage,
  isLayoutReference,
  parseLayoutReference,
  readLayoutDocument,
} from './oci-layout.ts'

/** Where images are looked for. */
export interface ImageSourceOptions {
  readonly store: Store
  readonly registry: () => RegistryClient
}

/** Finds images: local names first, then their registry; those of an OCI layout there and nowhere else. */
export interface ImageSource {
  /** @param pull asks the registry first, and takes the local image only if the registry does not have it */
  resolve(name: string, platform: Platform, options: ResolveImageOptions): Promise<ResolvedImage>
  /** Brings the blob of a layer into the store. */
  fetchLayer: FetchLayer
}

/** See {@link ImageSource.resolve}. */
export interface ResolveImageOptions {
  readonly pull: boolean
  readonly signal: AbortSignal
}

/** Opens a blob of the image's manifest tree, small enough to be read whole. */
type ReadBlob = (descriptor: Descriptor) => Promise<Buffer>

/** Creates an image source over one store and one registry client. */
export function createImageSource({ store, registry }: ImageSourceOptions): ImageSource {
  return {
    async resolve(name, platform, options) {
      if (isLayoutReference(name)) return await resolveLayout(name, platform)
      const reference = withDefaultTag(parseReference(name))
      const local = options.pull ? undefined : await resolveLocal(store, reference, platform)
      if (local?.image !== undefined) return local.image
      try {
        return await resolveRemote(store, registry(), reference, { platform, signal: options.signal })
      } catch (error) {
        const isMissing = isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND'
        const fallback = options.pull && isMissing ? await resolveLocal(store, reference, platform) : local
        if (fallback?.image !== undefined) return fallback.image
        const failure = fallback === undefined ? error : ofOtherPlatform(error, reference, platform, fallback)
        throw withBootstrapHint(failure, reference, platform)
      }
    },
    fetchLayer: (layer, signal, watcher) =>
      isLayoutReference(layer.reference)
        ? fetchLayoutLayer(store, layer)
        : fetchLayer({ store, registry: registry(), watcher }, layer, signal),
  }
}

async function resolveLayout(name: string, platform: Platform): Promise<ResolvedImage> {
  const layout = parseLayoutReference(name)
  const descriptor = await findLayoutImage(layout, platform)
  const read: ReadBlob = (blob) => readLayoutDocument(layout, blob)
  return await describe(name, await read(descriptor), { descriptor, platform, read })
}

async function resolveLocal(
  store: Store,
  reference: ImageReference,
  platform: Platform,
): Promise<LocalAnswer | undefined> {
  const name = formatReference(reference)
  const descriptor = await store.images.get(name)
  if (descriptor === undefined) return undefined
  const read: ReadBlob = ({ digest }) => store.blobs.read(digest)
  const bytes = await read(descriptor)
  if (isIndexType(descriptor.mediaType)) {
    const index = parseIndex(bytes, descriptor.mediaType)
    if (selectPlatform(index, platform) === undefined) return { platforms: listPlatforms(index) }
  }
  const image = await describe(name, bytes, { descriptor, platform, read })
  // No registry may have it: from here on its layers are in use, though it may be long until they are read.
  await Promise.all(image.layers.map(({ digest }) => store.blobs.size(digest)))
  return runsFor(image.config.platform, platform) ? { image } : { platforms: [image.config.platform] }
}

/** What the local image list has under a name: an image for the platform, or only ones for others. */
type LocalAnswer =
  | { readonly image: ResolvedImage }
  | { readonly image?: undefined; readonly platforms: readonly Platform[] }

/** The user sees the image in the list: that it is another one says more than that a registry has none. */
function ofOtherPlatform(
  error: unknown,
  reference: ImageReference,
  wanted: Platform,
  { platforms }: Extract<LocalAnswer, { image?: undefined }>,
): unknown {
  const codes = ['ERR_IMAGE_NOT_FOUND', 'ERR_REGISTRY_UNREACHABLE']
  if (!isBuildError(error) || !codes.includes(error.code)) return error
  const offered = formatPlatforms(platforms)
  const message = `Cannot use image "${formatReference(reference)}" for ${formatPlatform(wanted)}: the local image is for ${offered}, and no registry gave another`
  return new UserError('ERR_IMAGE_NOT_FOUND', message, {
    cause: error,
    hints: [
      `A stage that need not run for ${formatPlatform(wanted)} can say \`FROM --platform=${platforms.map(formatPlatform)[0]}\`.`,
    ],
  })
}

async function resolveRemote(
  store: Store,
  registry: RegistryClient,
  reference: ImageReference,
  { platform, signal }: { readonly platform: Platform; readonly signal: AbortSignal },
): Promise<ResolvedImage> {
  const resolved = await registry.resolve(reference, { signal })
  const read: ReadBlob = async (descriptor) => {
    assertSize(reference, descriptor)
    if ((await store.blobs.size(descriptor.digest)) === undefined) {
      if (isManifest(descriptor)) {
        const { bytes } = await registry.resolve(
          { ...reference, tag: undefined, digest: descriptor.digest },
          { signal },
        )
        await store.blobs.put(bytes, descriptor)
      } else await download({ store, registry }, reference, { descriptor, signal })
    }
    return await store.blobs.read(descriptor.digest)
  }
  const { descriptor, bytes } = resolved
  return await describe(formatReference(reference), bytes, { descriptor, platform, read })
}

/** Before a byte of it is fetched. */
function assertSize(reference: ImageReference, { digest, size }: Descriptor): void {
  if (size <= maxDocumentBytes) return
  const message = `Cannot use image "${formatReference(reference)}": ${digest} would have ${size} bytes, at most ${maxDocumentBytes} are read`
  throw new UserError('ERR_SIZE_MISMATCH', message)
}

function isManifest({ mediaType }: Descriptor): boolean {
  return /manifest/.test(mediaType)
}

/** From a manifest or index to what the frontend needs to know. */
async function describe(
  reference: string,
  bytes: Buffer,
  {
    descriptor,
    platform,
    read,
  }: { readonly descriptor: Descriptor; readonly platform: Platform; readonly read: ReadBlob },
): Promise<ResolvedImage> {
  if (isIndexType(descriptor.mediaType)) {
    const index = parseIndex(bytes, descriptor.mediaType)
    const chosen = selectPlatform(index, platform)
    if (chosen === undefined) {
      const offered = formatPlatforms(listPlatforms(index))
      const message = `Cannot use image "${reference}": it is not made for ${formatPlatform(platform)}, only for ${offered}`
      throw new UserError('ERR_IMAGE_NOT_FOUND', message)
    }
    return await describe(reference, await read(chosen), { descriptor: chosen, platform, read })
  }
  const manifest = parseManifest(bytes, descriptor.mediaType)
  const config = parseImageConfig(await read(manifest.config))
  if (config.diffIds.length !== manifest.layers.length) {
    const message = `Cannot use image "${reference}": its config names ${config.diffIds.length} layers and its manifest ${manifest.layers.length}`
    throw new UserError('ERR_MANIFEST_INVALID', message)
  }
  const layers = manifest.layers.flatMap(({ mediaType, digest, size }, index) => {
    const diffId = config.diffIds[index]
    return diffId === undefined ? [] : [{ mediaType, digest, size, diffId }]
  })
  return { reference, manifest: descriptor.digest, layers, config }
}

/** How a blob comes from a registry into the store. */
interface Downloading {
  readonly store: Store
  readonly registry: RegistryClient
  readonly watcher?: FetchWatcher | undefined
}

async function fetchLayer(
  downloading: Downloading,
  { mediaType, digest, size, reference }: ImageLayerRef,
  signal: AbortSignal,
): Promise<void> {
  const descriptor = { mediaType, digest, size }
  await download(downloading, parseReference(reference), { descriptor, signal })
}

async function download(
  { store, registry, watcher }: Downloading,
  reference: ImageReference,
  { descriptor, signal }: { readonly descriptor: Descriptor; readonly signal: AbortSignal },
): Promise<void> {
  const ingest = await store.blobs.ingest()
  try {
    const file = fileSink(ingest.fd)
    let position = 0
    const write: typeof file.write = async (chunk, at) => {
      if (at !== position) watcher?.restarts()
      await onDisk('write', ingest.path, () => file.write(chunk, at))
      position = at + chunk.byteLength
      watcher?.grew(position)
    }
    watcher?.begins(ingest.path)
    await registry.downloadBlob(reference, descriptor, { write }, { signal })
    await ingest.commit({ digest: descriptor.digest, size: descriptor.size })
  } catch (error) {
    await ingest.abort()
    throw error
  }
}

/** Where no registry can be reached there is another way to a base image. */
function withBootstrapHint(error: unknown, reference: ImageReference, platform: Platform): unknown {
  if (!isBuildError(error)) return error
  const { code, source, cause, details } = error
  if (code !== 'ERR_IMAGE_NOT_FOUND' && code !== 'ERR_REGISTRY_UNREACHABLE') return error
  if (reference.registry !== 'docker.io' || reference.repository !== 'library/debian') return error
  const isForeign = !samePlatform(platform, hostPlatform(process.arch))
  const flag = isForeign ? ` --platform ${formatPlatform(platform)}` : ''
  const hints = [
    ...error.hints,
    `\`tsbuild bootstrap ${familiarName(reference)}${flag}\` makes this image from Debian's packages, without a registry.`,
  ]
  const options = { source, cause, details, hints }
  return error.kind === 'user'
    ? new UserError(code, error.message, options)
    : new EnvironmentError(code, error.message, options)
}
