import { createHash } from 'node:crypto'
import type { ObjectKey } from '@tsbuild/object-store'
import { type ContentDigest, isTag, parseContentDigest } from './names.ts'

/** Below it is everything of this lib; its number is that of the format. @see docs/dev/cache-server-store.md */
export const distributionPrefix = 'oci1/'
/** Below it are the bytes of blobs and manifests. */
export const contentPrefix = `${distributionPrefix}content/`
const repositoryPrefix = `${distributionPrefix}repositories/`

/** What an object of this lib is. */
export type DistributionKey =
  /** Bytes of blobs and manifests, shared by all repositories. */
  | { readonly kind: 'content'; readonly digest: ContentDigest }
  /** That a blob may be read through a repository: a {@link BlobLink}. */
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: ContentDigest }
  /** That a manifest may be read through a repository: a {@link ManifestLink}. */
  | { readonly kind: 'manifest'; readonly repository: string; readonly digest: ContentDigest }
  /** A {@link TagTarget}, changed by `cas` only. */
  | { readonly kind: 'tag'; readonly repository: string; readonly tag: string }
  /** That a manifest has a subject: a {@link ReferrerEntry}. */
  | { readonly kind: 'referrer'; readonly repository: string; readonly subjectHash: string }

/** What is in a link to a blob, as JSON. Further members are of a later version and passed over. */
export interface BlobLink {
  readonly v: 1
  /** In bytes. */
  readonly size: number
}

/** What is in a link to a manifest, as JSON. */
export interface ManifestLink {
  readonly v: 1
  readonly size: number
  readonly mediaType: string
}

/** What a tag says, as JSON. */
export interface TagTarget {
  readonly v: 1
  readonly digest: string
}

/** What is known of a manifest that has a subject, as JSON. */
export interface ReferrerEntry {
  readonly v: 1
  readonly subject: string
  readonly descriptor: ReferrerDescriptor
}

/** As the referrers API gives it. */
export interface ReferrerDescriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** Where the bytes of a digest are. */
export function contentKey({ algorithm, hex }: ContentDigest): ObjectKey {
  return `${contentPrefix}${algorithm}/${hex.slice(0, 2)}/${hex}`
}

/** Where everything of a repository is, without those whose names begin with its name. */
export function repositoryKeys(repository: string): string {
  return `${repositoryPrefix}${repository}/_`
}

/** The link to a blob. */
export function blobLinkKey(repository: string, { algorithm, hex }: ContentDigest): ObjectKey {
  return `${repositoryKeys(repository)}blobs/${algorithm}/${hex}`
}

/** The link to a manifest. */
export function manifestLinkKey(repository: string, { algorithm, hex }: ContentDigest): ObjectKey {
  return `${repositoryKeys(repository)}manifests/${algorithm}/${hex}`
}

/** Where the tags of a repository are. */
export function tagsPrefix(repository: string): string {
  return `${repositoryKeys(repository)}tags/`
}

/** Where a tag is. */
export function tagKey(repository: string, tag: string): ObjectKey {
  return `${tagsPrefix(repository)}${encodeTag(tag)}`
}

/** Where the manifests with a subject are. The subject is hashed, as a key has an end. */
export function referrersPrefix(repository: string, subject: ContentDigest): string {
  return `${repositoryKeys(repository)}referrers/${createHash('sha256').update(subject.text).digest('hex')}/`
}

/** The entry of one manifest with a subject. */
export function referrerKey(repository: string, subject: ContentDigest, manifest: ContentDigest): ObjectKey {
  return `${referrersPrefix(repository, subject)}${manifest.algorithm}-${manifest.hex}`
}

/**
 * A tag as a part of a key, which has no upper case. Keys are in the order of the bytes of their tags, so that a page of tags is
 * a page of keys: `A` to `Z` are `_0` to `_9` and `_a` to `_p`, and `_` is `_z`. What is longer than a component of a key
 * may be goes on in a second one, behind a `_` that begins no such pair.
 */
export function encodeTag(tag: string): string {
  let encoded = ''
  let cut = 0
  for (const one of tag) {
    if (encoded.length <= longestComponent) cut = encoded.length
    encoded += one === '_' ? '_z' : /[A-Z]/.test(one) ? `_${(one.charCodeAt(0) - 65).toString(36)}` : one
  }
  if (encoded.length <= longestComponent + 1) return encoded
  return `${encoded.slice(0, cut)}_/x${encoded.slice(cut)}`
}

const longestComponent = 190

/** The tag of a part of a key; undefined where it is none. */
export function decodeTag(encoded: string): string | undefined {
  const joined = encoded.replace(/_\/x/, '')
  const tag = joined.replace(/_(.)/g, (_all, one: string) =>
    one === 'z' ? '_' : String.fromCharCode(65 + Number.parseInt(one, 36)),
  )
  return isTag(tag) && encodeTag(tag) === encoded ? tag : undefined
}

/** Says what a key of this lib is; undefined for one that is none. */
export function parseDistributionKey(key: ObjectKey): DistributionKey | undefined {
  if (key.startsWith(contentPrefix)) {
    const [algorithm, , hex] = key.slice(contentPrefix.length).split('/')
    const digest = parseContentDigest(`${algorithm}:${hex}`)
    return digest === undefined ? undefined : { kind: 'content', digest }
  }
  // No component of a name begins with `_`.
  const [, repository = '', kind = '', rest = ''] = key.startsWith(repositoryPrefix)
    ? (/^(.*?)\/_([a-z]+)\/(.+)$/.exec(key.slice(repositoryPrefix.length)) ?? [])
    : []
  switch (kind) {
    case 'blobs':
    case 'manifests': {
      const digest = parseContentDigest(rest.replace('/', ':'))
      return digest && { kind: kind === 'blobs' ? 'blob' : 'manifest', repository, digest }
    }
    case 'tags': {
      const tag = decodeTag(rest)
      return tag === undefined ? undefined : { kind: 'tag', repository, tag }
    }
    case 'referrers':
      return { kind: 'referrer', repository, subjectHash: rest.slice(0, rest.indexOf('/')) }
    default:
      return undefined
  }
}

/** The repositories in the order of their keys, each once. */
export const repositoriesPrefix = repositoryPrefix
