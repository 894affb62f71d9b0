import { isBuildError, UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatPlatform,
  formatPlatforms,
  hostPlatform,
  type Index,
  isAttestation,
  isIndexType,
  listPlatforms,
  type Platform,
  parseImageConfig,
  parseIndex,
  parseManifest,
  parsePlatform,
  parseReference,
  readDocument,
  selectPlatform,
  withDefaultTag,
} from '@tsbuild/oci'
import {
  type ImageDocument,
  type ImagePlace,
  type ImageSource,
  openSource,
  parseImagePlace,
} from '@tsbuild/transfer'
import { familiarPlace, placeOptions } from './image-calls.ts'
import type {
  AttestationReport,
  ImageReport,
  Inspection,
  InspectOptions,
  LayerReport,
  PlatformReport,
} from './image-types.ts'
import type { Machine } from './machine.ts'

/** Of the layers of an index that are looked through for one of the platform. */
const maxDepth = 4

/** See `Builder.inspectImage`. */
export async function inspectImage(machine: Machine, options: InspectOptions): Promise<Inspection> {
  const { platform } = options
  const wanted = platform === undefined ? undefined : parsePlatform(platform, hostPlatform(process.arch))
  const { place, source } = await openImage(machine, options)
  try {
    const document = await source.resolve()
    const chosen = await choose(source, document, wanted)
    const image = chosen === undefined ? undefined : await describeImage(source, chosen)
    const { descriptor, bytes } = document
    const index = isIndexType(descriptor.mediaType) ? parseIndex(bytes, descriptor.mediaType) : undefined
    const manifest = index ?? parseManifest(bytes, descriptor.mediaType)
    const report: ImageReport = {
      place: familiarPlace(place),
      names: (await source.images()).find(({ root }) => root.digest === descriptor.digest)?.names ?? [],
      digest: descriptor.digest,
      mediaType: descriptor.mediaType,
      annotations: manifest.annotations,
      ...(manifest.artifactType === undefined ? {} : { artifactType: manifest.artifactType }),
      manifests: (index?.manifests ?? []).filter((entry) => !isAttestation(entry)).map(describeEntry),
      attestations: [...attestationsOf(index), ...(await referrersOf(source, document, chosen))],
      ...(image === undefined ? {} : { image: image.report }),
    }
    return { report, raw: bytes, config: image?.config }
  } finally {
    await source.close()
  }
}

/** A place as it is; of a name alone the local image, and where there is none that of its registry. */
async function openImage(
  machine: Machine,
  options: InspectOptions,
): Promise<{ place: ImagePlace; source: ImageSource }> {
  const opening = placeOptions(machine, options)
  const { image, remote } = options
  const isName = !/^(?:docker:\/\/|(?:store|oci|oci-archive|docker-archive):)/.test(image) && image !== '-'
  if (isName && remote !== true) {
    const place: ImagePlace = { type: 'store', name: image }
    try {
      return { place, source: await openSource(place, opening) }
    } catch (error) {
      if (!isBuildError(error) || error.code !== 'ERR_IMAGE_NOT_FOUND' || isId(image)) throw error
    }
  }
  const place = isName
    ? ({ type: 'registry', reference: withDefaultTag(parseReference(image)) } as const)
    : parseImagePlace(image)
  return { place, source: await openSource(place, opening) }
}

function isId(text: string): boolean {
  return /^sha256:/.test(text) || /^[0-9a-f]{12,64}$/.test(text)
}

interface Chosen {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
}

/** The manifest of the platform; without one that of the machine, or the first there is. */
async function choose(
  source: ImageSource,
  document: ImageDocument,
  platform: Platform | undefined,
): Promise<Chosen | undefined> {
  const wanted = platform ?? hostPlatform(process.arch)
  let at: Chosen = document
  for (let depth = 0; isIndexType(at.descriptor.mediaType) && depth <= maxDepth; depth++) {
    const index = parseIndex(at.bytes, at.descriptor.mediaType)
    const images = index.manifests.filter((entry) => !isAttestation(entry))
    const entry = selectPlatform(index, wanted) ?? (platform === undefined ? images[0] : undefined)
    if (entry === undefined) {
      if (platform === undefined) return undefined
      throw new UserError(
        'ERR_IMAGE_NOT_FOUND',
        `Cannot use image "${source.label}": it is not made for ${formatPlatform(platform)}, only for ${formatPlatforms(listPlatforms(index))}`,
      )
    }
    if ((await source.has?.(entry)) === false && platform === undefined) return undefined
    at = { descriptor: entry, bytes: await source.document(entry) }
  }
  return at
}

async function describeImage(
  source: ImageSource,
  { descriptor, bytes }: Chosen,
): Promise<{ report: PlatformReport; config: Buffer } | undefined> {
  const manifest = parseManifest(bytes, descriptor.mediaType)
  // What is no image has a config that says nothing of a platform.
  if (manifest.artifactType !== undefined || !/image/.test(manifest.config.mediaType)) return undefined
  const config = await readDocument(() => source.blob(manifest.config).openRange(0), manifest.config)
  const parsed = parseImageConfig(config)
  const made = parsed.history.filter(({ emptyLayer }) => emptyLayer !== true)
  const layers = manifest.layers.map(
    (layer, at): LayerReport => ({
      digest: layer.digest,
      diffId: parsed.diffIds[at] ?? '',
      mediaType: layer.mediaType,
      sizeBytes: layer.size,
      // A history that leaves lines out says nothing of layers.
      createdBy: made.length === manifest.layers.length ? made[at]?.createdBy : undefined,
      annotations: layer.annotations ?? {},
    }),
  )
  const report: PlatformReport = {
    id: manifest.config.digest,
    manifest: descriptor.digest,
    manifestAnnotations: manifest.annotations,
    platform: formatPlatform(parsed.platform),
    os: parsed.platform.os,
    architecture: parsed.platform.architecture,
    variant: parsed.platform.variant,
    created: parsed.created,
    author: parsed.author,
    config: parsed.config,
    layers,
    history: parsed.history,
    sizeBytes: manifest.layers.reduce((sum, { size }) => sum + size, 0),
  }
  return { report, config }
}

function describeEntry({ digest, mediaType, size, platform, annotations }: Descriptor) {
  return {
    digest,
    mediaType,
    sizeBytes: size,
    ...(platform === undefined ? {} : { platform: formatPlatform(platform) }),
    annotations: annotations ?? {},
  }
}

function attestationsOf(index: Index | undefined): readonly AttestationReport[] {
  return (index?.manifests ?? []).filter(isAttestation).map(({ digest, annotations, artifactType }) => {
    const subject = index?.manifests.find(
      (entry) => entry.digest === annotations?.['vnd.docker.reference.digest'],
    )
    const type = artifactType ?? annotations?.['vnd.docker.reference.type'] ?? 'unknown'
    return { digest, type, subject: subject?.digest, kept: 'index' }
  })
}

/** What lies beside the image, and beside the manifest of its platform. */
async function referrersOf(
  source: ImageSource,
  { descriptor }: ImageDocument,
  chosen: Chosen | undefined,
): Promise<readonly AttestationReport[]> {
  const subjects = new Map(
    [descriptor, ...(chosen === undefined ? [] : [chosen.descriptor])].map((one) => [one.digest, one]),
  )
  const found: AttestationReport[] = []
  for (const subject of subjects.values()) {
    for (const { digest, artifactType, mediaType } of await source.referrers(subject))
      found.push({ digest, type: artifactType ?? mediaType, subject: subject.digest, kept: 'referrer' })
  }
  return found
}
