import type { Digest } from '@tsbuild/digest'
import { isBuildError, UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  familiarName,
  formatPlatform,
  hostPlatform,
  type ImageConfig,
  isAttestation,
  isIndexType,
  type Manifest,
  maxDocumentBytes,
  parseImageConfig,
  parseIndex,
  parseManifest,
  parseReference,
  samePlatform,
} from '@tsbuild/oci'
import { findLocalImage } from '@tsbuild/transfer'
import type { ListedImage, ListImagesOptions, RemovedImage, RemoveImagesOptions } from './image-types.ts'
import type { Machine } from './machine.ts'

/** See `Builder.listImages`. */
export async function listImages(
  machine: Machine,
  options: ListImagesOptions = {},
): Promise<readonly ListedImage[]> {
  const filters = parseImageFilters(options.filters ?? [])
  const all = await Promise.all(machine.store.images.all().map((image) => describe(machine, image)))
  const dangling = filters.get('dangling')
  const wantsUnnamed = options.all === true || dangling?.includes('true') === true
  const [before, since] = await Promise.all(
    ['before', 'since'].map((name) => createdOf(machine, all, filters.get(name) ?? [])),
  )
  return all.filter(
    (image) =>
      (image.name !== undefined || wantsUnnamed) &&
      (dangling === undefined || dangling.includes(String(image.name === undefined))) &&
      (filters.get('label') ?? []).every((label) => hasLabel(image, label)) &&
      anyOf(filters.get('reference'), (pattern) => matchesReference(image.name, pattern)) &&
      (before === undefined || (image.created !== undefined && Date.parse(image.created) < before)) &&
      (since === undefined || (image.created !== undefined && Date.parse(image.created) > since)),
  )
}

const filterNames = ['reference', 'label', 'dangling', 'before', 'since']

/** @throws {UserError} `ERR_USAGE` */
function parseImageFilters(texts: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const filters = new Map<string, string[]>()
  for (const text of texts) {
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? []
    const isWrong = name === 'dangling' && !/^(?:true|false|1|0)$/.test(value)
    if (!filterNames.includes(name) || value === '' || isWrong)
      throw new UserError(
        'ERR_USAGE',
        `Cannot use filter "${text}": expected ${filterNames.map((each) => `${each}=…`).join(', ')}`,
      )
    const said = name === 'dangling' ? value.replace('1', 'true').replace('0', 'false') : value
    filters.set(name, [...(filters.get(name) ?? []), said])
  }
  return filters
}

function anyOf(values: readonly string[] | undefined, test: (value: string) => boolean): boolean {
  return values === undefined || values.some(test)
}

function hasLabel({ labels }: ListedImage, label: string): boolean {
  const equals = label.indexOf('=')
  const name = equals < 0 ? label : label.slice(0, equals)
  return Object.hasOwn(labels, name) && (equals < 0 || labels[name] === label.slice(equals + 1))
}

/** As docker does it: the whole familiar name or that without its tag, and a `*` that stays within a folder. */
function matchesReference(name: string | undefined, pattern: string): boolean {
  if (name === undefined) return false
  const familiar = familiarOf(name)
  const bare = familiar.replace(/(?::[^/:@]*)?(?:@.*)?$/, '')
  return [familiar, bare].some((text) => matchesPath(text.split('/'), pattern.split('/')))
}

function matchesPath(parts: readonly string[], patterns: readonly string[]): boolean {
  return parts.length === patterns.length && parts.every((part, at) => matchesPart(part, patterns[at] ?? ''))
}

/** `*` and `?` within one folder; when a text does not go on as after a `*`, only the last one has to take more. */
function matchesPart(text: string, pattern: string): boolean {
  let at = 0
  let next = 0
  let star = -1
  let taken = 0
  while (at < text.length) {
    if (pattern[next] === '*') {
      star = next++
      taken = at
    } else if (next < pattern.length && (pattern[next] === '?' || pattern[next] === text[at])) {
      at++
      next++
    } else if (star >= 0) {
      next = star + 1
      at = ++taken
    } else return false
  }
  return /^\**$/.test(pattern.slice(next))
}

function familiarOf(name: string): string {
  try {
    return familiarName(parseReference(name))
  } catch (error) {
    if (!isBuildError(error)) throw error
    return name
  }
}

/** Of the image that a filter names. */
async function createdOf(
  { store }: Machine,
  images: readonly ListedImage[],
  [name]: readonly string[],
): Promise<number | undefined> {
  if (name === undefined) return undefined
  const { descriptor } = await findLocalImage(store, name)
  const created = images.find((image) => image.descriptor.digest === descriptor.digest)?.created
  return created === undefined ? undefined : Date.parse(created)
}

/** One that cannot be read is listed all the same: it has a name, and can be removed. */
async function describe(
  { store }: Machine,
  { name, descriptor }: { readonly name: string | undefined; readonly descriptor: Descriptor },
): Promise<ListedImage> {
  const images = await imagesBelow(store, descriptor).catch((error: unknown) => {
    if (isBuildError(error) && error.kind !== 'internal') return []
    throw error
  })
  const host = hostPlatform(process.arch)
  const shown =
    images.find(({ config }) => config !== undefined && samePlatform(config.platform, host)) ?? images[0]
  const platforms = images.flatMap(({ config }) =>
    config === undefined ? [] : [formatPlatform(config.platform)],
  )
  return {
    name,
    descriptor,
    configDigest: shown?.manifest.config.digest,
    sizeBytes: shown?.manifest.layers.reduce((sum, { size }) => sum + size, 0) ?? 0,
    created: shown?.config?.created,
    platform: platforms.join(', '),
    platforms,
    labels: shown?.config?.config.labels ?? {},
  }
}

interface ImageBelow {
  readonly manifest: Manifest
  /** Undefined for a manifest that is no image. */
  readonly config: ImageConfig | undefined
}

/** The images of an index that are there. */
async function imagesBelow(
  { blobs }: Machine['store'],
  root: Descriptor,
  depth = 0,
): Promise<readonly ImageBelow[]> {
  const bytes = await blobs.read(root.digest, maxDocumentBytes)
  if (!isIndexType(root.mediaType)) {
    const manifest = parseManifest(bytes, root.mediaType)
    const isImage = manifest.artifactType === undefined && /image/.test(manifest.config.mediaType)
    const config = isImage
      ? parseImageConfig(await blobs.read(manifest.config.digest, maxDocumentBytes))
      : undefined
    return [{ manifest, config }]
  }
  const found: ImageBelow[] = []
  for (const entry of parseIndex(bytes, root.mediaType).manifests) {
    if (isAttestation(entry) || depth > 4 || (await blobs.size(entry.digest)) === undefined) continue
    found.push(...(await imagesBelow({ blobs } as Machine['store'], entry, depth + 1)))
  }
  return found
}

/** See `Builder.removeImages`. */
export async function removeImages(
  { store }: Machine,
  { names, force = false }: RemoveImagesOptions,
): Promise<readonly RemovedImage[]> {
  const wanted: { name: string | undefined; digest: Digest }[] = []
  for (const text of names) wanted.push(...(await linesOf(store, text, force)))
  const removed: RemovedImage[] = []
  for (const { name, digest } of wanted) {
    const was = name === undefined ? await store.images.forget(digest) : await store.images.remove(name)
    const last = !store.images.all().some(({ descriptor }) => descriptor.digest === digest)
    if (was) removed.push({ name, digest, last })
  }
  return removed
}

/** The lines of the list that a text means. */
async function linesOf(store: Machine['store'], text: string, force: boolean) {
  try {
    const { descriptor, names, by } = await findLocalImage(store, text)
    const { digest } = descriptor
    if (by !== undefined) return [{ name: by, digest }]
    if (names.length > 1 && !force)
      throw new UserError('ERR_USAGE', `Cannot remove image "${text}": it has ${names.length} names`, {
        hints: [`Its names: ${names.map(familiarOf).join(', ')}.`, '`--force` removes all of them.'],
      })
    return names.length === 0 ? [{ name: undefined, digest }] : names.map((name) => ({ name, digest }))
  } catch (error) {
    if (force && isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND') return []
    throw error
  }
}
