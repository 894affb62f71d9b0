import { type Digest, digestBytes } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatPlatforms,
  type Index,
  invalidDocument,
  isAttestation,
  isIndexType,
  isManifestType,
  listPlatforms,
  type Manifest,
  type Platform,
  parseImageConfig,
  parseIndex,
  parseManifestOrIndex,
  readDocument,
  runsFor,
  selectPlatform,
  serializeIndex,
} from '@tsbuild/oci'
import type { ImageDocument, ImageSource, Selection } from './types.ts'

const maxDepth = 4
/** Far more than images have, and little enough to be held in memory. */
const maxDocuments = 2000
const maxTotalBytes = 64 * 1024 * 1024

/** All that is copied of an image. */
export interface ImageTree {
  readonly root: ImageDocument
  /** Manifests and indexes below the root, each after all that it names. */
  readonly below: readonly ImageDocument[]
  /** What says something about the image, each after all that it names; empty unless wanted. */
  readonly referrers: readonly ImageDocument[]
  /** Configs and layers, each once, in the order in which they are reached. */
  readonly blobs: readonly Descriptor[]
}

/**
 * Reads the manifests of an image: all of them before anything is moved, so that an image that is not sound moves nothing.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND` for a platform that it is not for; `ERR_MANIFEST_INVALID`, also for more than 2000
 *   documents or 64 MiB of them, or indexes nested more than 4 deep; what the source throws
 */
export async function readImageTree(
  source: ImageSource,
  found: ImageDocument,
  selection: Selection,
): Promise<ImageTree> {
  const root = await select(source, found, selection)
  const walk = new Walk(source)
  walk.know(root)
  const below = await walk.below(root, 0)
  const referrers = selection.referrers === true ? await walk.referrersOf([root, ...below], 0) : []
  await source.assertThere?.(walk.blobs)
  return { root, below, referrers, blobs: walk.blobs }
}

/** Goes through documents; each is read once, however often it is named. */
class Walk {
  readonly #source: ImageSource
  readonly #sizes = new Map<Digest, number>()
  readonly #blobs = new Map<Digest, Descriptor>()
  readonly #documents = new Map<Digest, Buffer>()
  readonly #ordered = new Set<Digest>()
  #bytes = 0

  constructor(source: ImageSource) {
    this.#source = source
  }

  get blobs(): readonly Descriptor[] {
    return [...this.#blobs.values()]
  }

  /** Of a document that is in hand. */
  know({ descriptor, bytes }: ImageDocument): void {
    this.#note(descriptor)
    this.#documents.set(descriptor.digest, bytes)
    this.#ordered.add(descriptor.digest)
  }

  /** What a document names, and below it; lowest first, without those given earlier. */
  async below(document: ImageDocument, depth: number): Promise<readonly ImageDocument[]> {
    if (depth > maxDepth)
      throw invalidDocument('image index', `indexes are nested more than ${maxDepth} deep`)
    const parsed = parseManifestOrIndex(document.bytes, document.descriptor.mediaType)
    if (parsed.type === 'manifest') {
      for (const blob of [parsed.manifest.config, ...parsed.manifest.layers]) this.#addBlob(blob)
      return []
    }
    const { manifests } = parsed.index
    // Read side by side, put in order afterwards.
    for (const child of manifests) this.#note(child)
    const children = await Promise.all(manifests.filter(isDocument).map((child) => this.#read(child)))
    const ordered: ImageDocument[] = []
    for (const child of children) {
      if (this.#ordered.has(child.descriptor.digest)) continue
      this.#ordered.add(child.descriptor.digest)
      ordered.push(...(await this.below(child, depth + 1)), child)
    }
    for (const entry of manifests.filter((child) => !isDocument(child))) this.#addBlob(entry)
    return ordered
  }

  /** What says something about documents, and what says something about that. */
  async referrersOf(subjects: readonly ImageDocument[], depth: number): Promise<readonly ImageDocument[]> {
    if (depth > maxDepth)
      throw invalidDocument('image', `referrers refer to one another more than ${maxDepth} deep`)
    const found: ImageDocument[] = []
    for (const { descriptor } of subjects) {
      for (const referrer of await this.#source.referrers(descriptor)) {
        if (this.#ordered.has(referrer.digest)) continue
        this.#note(referrer)
        const document = await this.#read(referrer)
        this.#ordered.add(referrer.digest)
        found.push(...(await this.below(document, 0)), document)
      }
    }
    return found.length === 0 ? [] : [...found, ...(await this.referrersOf(found, depth + 1))]
  }

  async #read(descriptor: Descriptor): Promise<ImageDocument> {
    const known = this.#documents.get(descriptor.digest)
    if (known !== undefined) return { descriptor, bytes: known }
    this.#bytes += descriptor.size
    if (this.#documents.size >= maxDocuments || this.#bytes > maxTotalBytes)
      throw invalidDocument(
        'image index',
        `it names more than ${maxDocuments} manifests, or ${maxTotalBytes} bytes of them`,
      )
    // Counted before it is read: many are read at once.
    this.#documents.set(descriptor.digest, Buffer.alloc(0))
    const bytes = await this.#source.document(descriptor)
    this.#documents.set(descriptor.digest, bytes)
    return { descriptor, bytes }
  }

  #addBlob(descriptor: Descriptor): void {
    this.#note(descriptor)
    this.#blobs.set(descriptor.digest, this.#blobs.get(descriptor.digest) ?? descriptor)
  }

  #note({ digest, size }: Descriptor): void {
    const known = this.#sizes.get(digest)
    if (known !== undefined && known !== size)
      throw invalidDocument('image', `${digest} is said to have ${known} and ${size} bytes`)
    this.#sizes.set(digest, size)
  }
}

function isDocument({ mediaType }: Descriptor): boolean {
  return isManifestType(mediaType) || isIndexType(mediaType)
}

async function select(
  source: ImageSource,
  found: ImageDocument,
  selection: Selection,
): Promise<ImageDocument> {
  const { platforms = 'all' } = selection
  if (platforms === 'all') return found
  const parsed = parseManifestOrIndex(found.bytes, found.descriptor.mediaType)
  const [first] = platforms
  if (parsed.type === 'manifest') {
    if (selection.strict === true) await assertPlatform(source, parsed.manifest, platforms)
    return found
  }
  if (first === undefined) throw notFor(source, platforms, parsed.index)
  if (platforms.length === 1) return await selectOne(source, parsed.index, first, 0)
  return partOf(source, parsed.index, platforms)
}

async function selectOne(
  source: ImageSource,
  index: Index,
  platform: Platform,
  depth: number,
): Promise<ImageDocument> {
  const chosen = selectPlatform(index, platform)
  if (chosen === undefined) throw notFor(source, [platform], index)
  const bytes = await source.document(chosen)
  if (!isIndexType(chosen.mediaType)) return { descriptor: asRoot(chosen), bytes }
  if (depth >= maxDepth) throw invalidDocument('image index', `indexes are nested more than ${maxDepth} deep`)
  return await selectOne(source, parseIndex(bytes, chosen.mediaType), platform, depth + 1)
}

/** The same index with fewer entries: those of the platforms and what is attested of them, in its own order. */
function partOf(source: ImageSource, index: Index, platforms: readonly Platform[]): ImageDocument {
  const chosen = new Set(
    platforms.map((platform) => {
      const entry = selectPlatform(index, platform)
      if (entry === undefined) throw notFor(source, [platform], index)
      return entry.digest
    }),
  )
  return indexOf(
    index,
    index.manifests.filter((entry) => chosen.has(entry.digest) || chosen.has(subjectOf(entry))),
  )
}

/** An index like another one, with these entries. */
export function indexOf(index: Index, manifests: readonly Descriptor[]): ImageDocument {
  const bytes = serializeIndex({ ...index, manifests })
  return { descriptor: { mediaType: index.mediaType, digest: digestBytes(bytes), size: bytes.length }, bytes }
}

/** What an entry of an index is attested of, as BuildKit writes it; its own digest where it is an image. */
export function subjectOf(entry: Descriptor): Digest {
  const named = isAttestation(entry) ? entry.annotations?.['vnd.docker.reference.digest'] : undefined
  return (named ?? entry.digest) as Digest
}

/** What an index says of a manifest is not part of an image that stands alone. */
function asRoot({ mediaType, digest, size, artifactType }: Descriptor): Descriptor {
  return { mediaType, digest, size, ...(artifactType === undefined ? {} : { artifactType }) }
}

async function assertPlatform(
  source: ImageSource,
  manifest: Manifest,
  platforms: readonly Platform[],
): Promise<void> {
  const config = parseImageConfig(
    await readDocument(() => source.blob(manifest.config).openRange(0), manifest.config),
  )
  if (platforms.every((platform) => runsFor(config.platform, platform))) return
  throw imageFor(source, platforms, [config.platform])
}

function notFor(source: ImageSource, platforms: readonly Platform[], index: Index): UserError {
  return imageFor(source, platforms, listPlatforms(index))
}

function imageFor(source: ImageSource, wanted: readonly Platform[], offered: readonly Platform[]): UserError {
  return new UserError(
    'ERR_IMAGE_NOT_FOUND',
    `Cannot use image "${source.label}": it is not made for ${formatPlatforms(wanted)}, only for ${formatPlatforms(offered)}`,
  )
}
