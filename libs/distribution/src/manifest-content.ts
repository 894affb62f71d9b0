import { isRecord, parseJson } from '@tsbuild/shape'
import { manifestInvalid } from './failures.ts'
import type { ReferrerDescriptor } from './layout.ts'
import { type ContentDigest, parseContentDigest } from './names.ts'

/** What a manifest says of other things. */
export interface ManifestContent {
  readonly mediaType: string
  /** Blobs that have to be in the repository: config and layers that are not fetched from elsewhere. */
  readonly blobs: readonly ContentDigest[]
  /** Manifests that have to be in the repository. */
  readonly manifests: readonly ContentDigest[]
  /** What it is about, which need not be there. */
  readonly subject: ContentDigest | undefined
  /** Of its descriptor in the list of what refers to its subject. */
  readonly artifactType: string | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
}

const images = new Set([
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
])
const indexes = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
])

/** Whether what a manifest of this media type refers to is known. */
export function isKnownType(mediaType: string): boolean {
  return images.has(mediaType) || indexes.has(mediaType)
}

/**
 * Reads a manifest. One of an unknown media type is taken as it is; of the known ones every digest is one that can be looked up.
 *
 * @param contentType the header, with parameters or without
 * @throws {HttpError} 400 `MANIFEST_INVALID`
 */
export function readManifest(bytes: Uint8Array, contentType: string | undefined): ManifestContent {
  const header = contentType?.split(';')[0]?.trim().toLowerCase()
  const value = parseJson(new TextDecoder().decode(bytes))
  const written = isRecord(value) && typeof value.mediaType === 'string' ? value.mediaType : undefined
  const mediaType = header ?? written
  if (
    mediaType === undefined ||
    !/^[a-z0-9][\w!#$&^.+-]*\/[a-z0-9][\w!#$&^.+-]*$/i.test(mediaType) ||
    mediaType.length > 255
  ) {
    throw manifestInvalid('the manifest has no media type')
  }
  if (!isKnownType(mediaType))
    return { mediaType, blobs: [], manifests: [], ...aboutSubject(value, undefined, false) }
  if (!isRecord(value)) throw manifestInvalid('the manifest is no JSON object')
  if (written !== undefined && written !== mediaType) {
    throw manifestInvalid('the Content-Type is not the mediaType of the manifest')
  }
  if (value.schemaVersion !== 2) throw manifestInvalid('the schemaVersion of the manifest is not 2')
  if (indexes.has(mediaType)) {
    if (value.layers !== undefined || value.config !== undefined)
      throw manifestInvalid('an index has no layers')
    return {
      mediaType,
      blobs: [],
      manifests: digestsOf(value.manifests),
      ...aboutSubject(value, undefined, true),
    }
  }
  if (value.manifests !== undefined) throw manifestInvalid('an image has no manifests')
  const config = isRecord(value.config) ? value.config : undefined
  if (config === undefined) throw manifestInvalid('the manifest has no config')
  const configType = typeof config.mediaType === 'string' ? config.mediaType : undefined
  return {
    mediaType,
    blobs: [...digestsOf([config]), ...digestsOf(value.layers)],
    manifests: [],
    ...aboutSubject(value, configType, true),
  }
}

/** The digests of descriptors, without those of what is fetched from elsewhere. */
function digestsOf(descriptors: unknown): readonly ContentDigest[] {
  if (!Array.isArray(descriptors)) throw manifestInvalid('the manifest lacks a list of descriptors')
  const found = new Map<string, ContentDigest>()
  for (const descriptor of descriptors) {
    const digest = isRecord(descriptor) ? parseContentDigest(String(descriptor.digest)) : undefined
    if (digest === undefined)
      throw manifestInvalid('the manifest has a descriptor without a digest that is known')
    if (Array.isArray(descriptor.urls) && descriptor.urls.length > 0) continue
    found.set(digest.text, digest)
  }
  return [...found.values()]
}

function aboutSubject(
  value: unknown,
  configType: string | undefined,
  strict: boolean,
): Pick<ManifestContent, 'subject' | 'artifactType' | 'annotations'> {
  const nothing = { subject: undefined, artifactType: undefined, annotations: undefined }
  if (!isRecord(value) || value.subject === undefined || value.subject === null) return nothing
  const subject = isRecord(value.subject) ? parseContentDigest(String(value.subject.digest)) : undefined
  if (subject === undefined) {
    if (strict) throw manifestInvalid('the subject of the manifest has no digest that is known')
    return nothing
  }
  const given =
    typeof value.artifactType === 'string' && value.artifactType !== '' ? value.artifactType : undefined
  const texts = isRecord(value.annotations)
    ? Object.entries(value.annotations).filter(
        (pair): pair is [string, string] => typeof pair[1] === 'string',
      )
    : []
  return {
    subject,
    artifactType: given ?? configType,
    annotations: texts.length === 0 ? undefined : Object.fromEntries(texts),
  }
}

/** As the referrers API gives a manifest. */
export function referrerDescriptor(
  content: ManifestContent,
  digest: ContentDigest,
  size: number,
): ReferrerDescriptor {
  const { mediaType, artifactType, annotations } = content
  return {
    mediaType,
    digest: digest.text,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}
