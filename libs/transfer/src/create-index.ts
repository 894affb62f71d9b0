import { digestBytes } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatPlatform,
  type ImageReference,
  type Index,
  isAttestation,
  isIndexType,
  isManifestType,
  mediaTypes,
  normalizePlatform,
  parseImageConfig,
  parseIndex,
  parseManifest,
  readDocument,
  serializeIndex,
} from '@tsbuild/oci'
import { type CopyOptions, putTree } from './copy-image.ts'
import { readImageTree, subjectOf } from './image-tree.ts'
import { openSource } from './open-place.ts'
import type { ImagePlace } from './place.ts'
import { openRegistryTarget } from './registry-place.ts'
import type { ImageDocument, ImageSource, PlaceOptions } from './types.ts'

/** One thing that an index is made of. */
export type IndexPart =
  | { readonly place: ImagePlace }
  /** An entry as it is to be, of a manifest that the target's repository has. */
  | { readonly descriptor: Descriptor }

/** For {@link createIndex}. */
export interface IndexOptions extends PlaceOptions, Pick<CopyOptions, 'onProgress'> {
  /** Names of the new index; the first one's repository gets what it names. Without any only `dryRun` makes sense. */
  readonly names: readonly ImageReference[]
  readonly parts: readonly IndexPart[]
  readonly annotations?: readonly IndexAnnotation[] | undefined
  /** Adds to the index that the first name has now; an entry of a platform takes the place of that which is there. */
  readonly append?: boolean | undefined
  /** Makes an index also of a single manifest. Default true. */
  readonly preferIndex?: boolean | undefined
  /** Makes the document and sends nothing. */
  readonly dryRun?: boolean | undefined
}

/** One `--annotation`. */
export interface IndexAnnotation {
  readonly at: 'index' | 'manifest-descriptor'
  /** Only entries of this platform, for `manifest-descriptor`. */
  readonly platform?: string | undefined
  readonly name: string
  readonly value: string
}

/** An opened part. */
interface OpenPart {
  readonly source: ImageSource
  readonly document: ImageDocument
  readonly entries: readonly Descriptor[]
}

/**
 * Makes an index of images and gives it names in a registry. Manifests and blobs are moved only where the repository is another one:
 * within one registry blobs are mounted.
 *
 * @returns the document, whether or not it was sent
 * @throws {UserError} `ERR_USAGE` for nothing to make an index of, `ERR_UNSUPPORTED` for an annotation of what stays as it is; what
 *   registries throw
 */
export async function createIndex(options: IndexOptions): Promise<ImageDocument> {
  const parts = await openParts(options)
  try {
    const document = combine(parts, options)
    if (options.dryRun !== true) await send(parts, document, options)
    return document
  } finally {
    for (const { source } of parts) await source.close()
  }
}

async function openParts(options: IndexOptions): Promise<readonly OpenPart[]> {
  const [first] = options.names
  const places: IndexPart[] = options.parts.map((part) => ownPart(part, first))
  if (options.append === true && first !== undefined)
    places.unshift({ place: { type: 'registry', reference: first } })
  if (places.length === 0)
    throw new UserError('ERR_USAGE', 'Cannot create an index: there is nothing to make it of')
  const opened: OpenPart[] = []
  for (const part of places) {
    const { source, document } = await openPart(part, options)
    const entries = 'descriptor' in part ? [part.descriptor] : await entriesOf(source, document)
    opened.push({ source, document, entries })
  }
  return opened
}

/** A descriptor alone is of the target's repository. */
function ownPart(part: IndexPart, target: ImageReference | undefined): IndexPart {
  if (!('descriptor' in part) || target !== undefined) return part
  throw new UserError(
    'ERR_USAGE',
    `Cannot use ${part.descriptor.digest}: a descriptor needs a name that says where it is`,
  )
}

async function openPart(part: IndexPart, options: IndexOptions) {
  const [target] = options.names
  const place: ImagePlace | undefined =
    'place' in part
      ? part.place
      : target && {
          type: 'registry',
          reference: { ...target, tag: undefined, digest: part.descriptor.digest },
        }
  if (place === undefined) throw new TypeError('a descriptor without a repository')
  const source = await openSource(place, options)
  try {
    return { source, document: await source.resolve() }
  } catch (error) {
    await source.close()
    throw error
  }
}

/** The entries of an index; of a manifest one entry, with the platform that its config says. */
async function entriesOf(
  source: ImageSource,
  { descriptor, bytes }: ImageDocument,
): Promise<readonly Descriptor[]> {
  const { mediaType, digest, size } = descriptor
  if (isIndexType(mediaType)) return parseIndex(bytes, mediaType).manifests
  const { config, artifactType } = parseManifest(bytes, mediaType)
  const isImage = config.mediaType === mediaTypes.ociConfig || config.mediaType === mediaTypes.dockerConfig
  if (!isImage) return [{ mediaType, digest, size, artifactType: artifactType ?? config.mediaType }]
  const read = await readDocument(() => source.blob(config).openRange(0), config)
  return [{ mediaType, digest, size, platform: parseImageConfig(read).platform }]
}

function combine(parts: readonly OpenPart[], options: IndexOptions): ImageDocument {
  const { annotations = [], preferIndex = true } = options
  const [only] = parts
  const isAsItIs = parts.length === 1 && only !== undefined && annotations.length === 0
  if (isAsItIs && (isIndexType(only.document.descriptor.mediaType) || !preferIndex)) return only.document
  const manifests = unique(
    parts.map(({ entries }) => entries),
    options.append === true,
  )
  const index: Index = {
    mediaType:
      manifests.every(({ mediaType }) => isDockerType(mediaType)) && annotations.length === 0
        ? mediaTypes.dockerManifestList
        : mediaTypes.ociIndex,
    manifests: manifests.map((entry) => annotated(entry, annotations)),
    annotations: { ...kept(parts), ...of(annotations.filter(({ at }) => at === 'index')) },
  }
  const bytes = serializeIndex(index)
  return { descriptor: { mediaType: index.mediaType, digest: digestBytes(bytes), size: bytes.length }, bytes }
}

/** Annotations of an index that is extended stay. */
function kept([first]: readonly OpenPart[]): Index['annotations'] {
  if (first === undefined || !isIndexType(first.document.descriptor.mediaType)) return {}
  return parseIndex(first.document.bytes, first.document.descriptor.mediaType).annotations
}

function of(annotations: readonly IndexAnnotation[]): Readonly<Record<string, string>> {
  return Object.fromEntries(annotations.map(({ name, value }) => [name, value]))
}

function isDockerType(mediaType: string): boolean {
  return mediaType === mediaTypes.dockerManifest || mediaType === mediaTypes.dockerManifestList
}

/** Each manifest once. What is appended takes the place of an image for the same platform, and of what was attested of that. */
function unique(parts: readonly (readonly Descriptor[])[], append: boolean): readonly Descriptor[] {
  let manifests: readonly Descriptor[] = []
  for (const [at, entries] of parts.entries()) {
    if (append && at > 0) {
      const replaced = new Set(
        manifests
          .filter((old) => entries.some((entry) => isSamePlatform(old, entry)))
          .map(({ digest }) => digest),
      )
      manifests = manifests.filter((entry) => !replaced.has(subjectOf(entry)))
    }
    const known = new Set(manifests.map(({ digest }) => digest))
    manifests = [...manifests, ...entries.filter(({ digest }) => !known.has(digest))]
  }
  return manifests
}

function isSamePlatform(a: Descriptor, b: Descriptor): boolean {
  if (a.platform === undefined || b.platform === undefined || isAttestation(a) || isAttestation(b))
    return false
  const [x, y] = [normalizePlatform(a.platform), normalizePlatform(b.platform)]
  return formatPlatform(x) === formatPlatform(y) && x.os === y.os && x.osVersion === y.osVersion
}

function annotated(entry: Descriptor, annotations: readonly IndexAnnotation[]): Descriptor {
  const own = annotations.filter(
    ({ at, platform }) =>
      at === 'manifest-descriptor' &&
      (platform === undefined ||
        (entry.platform !== undefined && formatPlatform(entry.platform) === platform)),
  )
  return own.length === 0 || isAttestation(entry)
    ? entry
    : { ...entry, annotations: { ...entry.annotations, ...of(own) } }
}

async function send(
  parts: readonly OpenPart[],
  document: ImageDocument,
  options: IndexOptions,
): Promise<void> {
  const repositories = new Map<string, ImageReference>()
  for (const name of options.names) repositories.set(`${name.registry}/${name.repository}`, name)
  for (const name of repositories.values()) {
    const target = openRegistryTarget(name, options)
    for (const { source, document: part } of parts) {
      const { repository } = source
      // What the repository has already need not even be read.
      if (repository?.registry === name.registry && repository.repository === name.repository) continue
      const tree = await readImageTree(source, part, {})
      await putTree(source, target, tree, options)
      if (isManifestType(part.descriptor.mediaType)) await target.putDocument(tree.root, 'part')
    }
  }
  for (const name of options.names) await openRegistryTarget(name, options).name(document)
}
