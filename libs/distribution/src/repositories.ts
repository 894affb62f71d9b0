import { createHash } from 'node:crypto'
import type { ObjectInfo, ObjectKey, ObjectStore } from '@tsbuild/object-store'
import { count, objectOf, parseJson, type Shape, text } from '@tsbuild/shape'
import {
  type BlobLink,
  blobLinkKey,
  contentKey,
  type ManifestLink,
  manifestLinkKey,
  type ReferrerEntry,
  referrerKey,
  repositoryKeys,
  type TagTarget,
  tagKey,
  tagsPrefix,
} from './layout.ts'
import { isKnownType } from './manifest-content.ts'
import { Memory } from './memory.ts'
import { type ContentDigest, parseContentDigest } from './names.ts'

/**
 * How long after `modifiedMs` something that somebody was told of is taken for fresh; older, it is touched when it is told of
 * again. A collector of garbage must leave alone what is younger than its grace, which must be at least twice this.
 */
export const promiseMs = 10 * 60_000

/**
 * How long it is taken for granted that content is still there. What lets it be read, a link, is asked for each time, and content
 * goes only after all its links: so this shows only where a scrub takes away what rotted, for that long and in answers to `HEAD`.
 */
const contentMs = 2000

/** A manifest that is there. */
export interface StoredManifest {
  readonly digest: ContentDigest
  readonly mediaType: string
  readonly size: number
}

/** A tag that is there: what it says, and the version to change it by. */
export interface StoredTag {
  readonly version: string
  /** Undefined where its object is damaged: it means nothing, and can be moved and deleted like any other. */
  readonly digest: ContentDigest | undefined
}

interface Value {
  readonly version: string
  readonly bytes: Buffer
}

const manifestShape = objectOf({ v: (v) => v === 1, size: count, mediaType: text })
const tagShape = objectOf({ v: (v) => v === 1, digest: text })
const descriptorShape = objectOf({ mediaType: text, digest: text, size: count })
const referrerShape = objectOf({ v: (v) => v === 1, subject: text, descriptor: descriptorShape })

/** What is in which repository, over an object store. Safe for any number of processes on one store. */
export class Repositories {
  readonly store: ObjectStore
  readonly #now: () => number
  /** Small objects, by key and version: 16 MiB. */
  readonly #values = new Memory<Value>(16 * 1024 * 1024, (value) => value.bytes.length + 512)
  /** Bytes of manifests, by digest: 32 MiB. */
  readonly #manifests = new Memory<Buffer>(32 * 1024 * 1024, (bytes) => bytes.length + 512)

  /** Content that was there a moment ago, by digest. */
  readonly #contents = new Memory<{ readonly info: ObjectInfo; readonly at: number }>(20_000, () => 1)

  /** @param now Unix ms */
  constructor(store: ObjectStore, now: () => number) {
    this.store = store
    this.#now = now
  }

  /**
   * What is known of a blob that may be read through a repository. Who is told of it may count on it for a while: it is made
   * young again before this resolves.
   */
  async findBlob(repository: string, digest: ContentDigest): Promise<ObjectInfo | undefined> {
    const touchBefore = this.#now() - promiseMs
    const [link, content] = await Promise.all([
      this.#head(blobLinkKey(repository, digest), touchBefore),
      this.#findContent(digest, touchBefore),
    ])
    return link === undefined ? undefined : content
  }

  /** Lets a blob whose bytes are stored be read through a repository. Durable when it resolves. */
  async linkBlob(repository: string, digest: ContentDigest, size: number): Promise<void> {
    const link: BlobLink = { v: 1, size }
    await this.#putOnce(blobLinkKey(repository, digest), toBytes(link))
  }

  /** @returns false where there was none */
  unlinkBlob(repository: string, digest: ContentDigest): Promise<boolean> {
    return this.#remove(blobLinkKey(repository, digest))
  }

  /** As {@link findBlob}. */
  async findManifest(repository: string, digest: ContentDigest): Promise<StoredManifest | undefined> {
    const touchBefore = this.#now() - promiseMs
    const [link, content] = await Promise.all([
      this.#read(manifestLinkKey(repository, digest), manifestShape, touchBefore),
      this.#findContent(digest, touchBefore),
    ])
    if (link === undefined || content === undefined) return undefined
    const { mediaType } = link.value as ManifestLink
    return { digest, mediaType, size: content.size }
  }

  /** The bytes of a manifest that was found, verified; undefined where they are gone, or are others. */
  async readContent(digest: ContentDigest): Promise<Buffer | undefined> {
    const known = this.#manifests.get(digest.text)
    if (known !== undefined) return known
    const body = await this.store.get(contentKey(digest))
    if (body === undefined) return undefined
    const bytes = await collect(body.stream)
    if (createHash(digest.algorithm).update(bytes).digest('hex') !== digest.hex) return undefined
    this.#manifests.set(digest.text, bytes)
    return bytes
  }

  /**
   * Stores the bytes of a manifest and lets it be read through a repository. Durable when it resolves. A media type that is known is
   * replaced by none that is not.
   */
  async putManifest(
    repository: string,
    { digest, mediaType }: Omit<StoredManifest, 'size'>,
    bytes: Buffer,
  ): Promise<void> {
    await this.#putOnce(contentKey(digest), bytes)
    const link: ManifestLink = { v: 1, size: bytes.length, mediaType }
    const key = manifestLinkKey(repository, digest)
    if (await this.#putOnce(key, toBytes(link))) return
    // The same bytes may have been called something else before: the last word counts, and heals what is damaged.
    const before = await this.#read(key, () => true)
    const known = manifestShape(before?.value)
      ? (before?.value as ManifestLink | undefined)?.mediaType
      : undefined
    // Under an unknown type it would refer to nothing, and its blobs would be garbage.
    const stays =
      known === mediaType || (known !== undefined && isKnownType(known) && !isKnownType(mediaType))
    if (before !== undefined && !stays) await this.store.cas(key, before.version, toBytes(link))
  }

  /** What refers to a manifest has to be taken away by the caller, afterwards. @returns false where there was none */
  unlinkManifest(repository: string, digest: ContentDigest): Promise<boolean> {
    return this.#remove(manifestLinkKey(repository, digest))
  }

  /** Durable when it resolves. */
  async putReferrer(repository: string, subject: ContentDigest, entry: ReferrerEntry): Promise<void> {
    const manifest = parseContentDigest(entry.descriptor.digest)
    if (manifest === undefined) throw new TypeError('The descriptor of a referrer has no digest')
    await this.#putOnce(referrerKey(repository, subject, manifest), toBytes(entry))
  }

  async removeReferrer(repository: string, subject: ContentDigest, manifest: ContentDigest): Promise<void> {
    await this.#remove(referrerKey(repository, subject, manifest))
  }

  /** The entry of a key below `referrersPrefix`; undefined where the manifest is gone. */
  async readReferrer(repository: string, key: ObjectKey): Promise<ReferrerEntry | undefined> {
    const entry = (await this.#read(key, referrerShape))?.value as ReferrerEntry | undefined
    const digest = parseContentDigest(entry?.descriptor.digest ?? '')
    if (digest === undefined) return undefined
    return (await this.store.head(manifestLinkKey(repository, digest))) === undefined ? undefined : entry
  }

  async readTag(repository: string, tag: string): Promise<StoredTag | undefined> {
    return this.#tagAt(tagKey(repository, tag))
  }

  /**
   * Lets a tag name a manifest, or nothing. Durable when it resolves.
   * @param old the version that it must have, null where there must be none
   * @returns whether it had it
   */
  async changeTag(
    repository: string,
    tag: string,
    old: string | null,
    target: ContentDigest | null,
  ): Promise<boolean> {
    const value: TagTarget | null = target === null ? null : { v: 1, digest: target.text }
    const changed = await this.store.cas(tagKey(repository, tag), old, value === null ? null : toBytes(value))
    return changed !== undefined
  }

  /** Takes away the tags of a manifest. */
  async untag(repository: string, digest: ContentDigest): Promise<void> {
    for await (const { key } of this.store.list(tagsPrefix(repository))) {
      const tag = await this.#tagAt(key)
      // One that is moved meanwhile is not one of them any more.
      if (tag?.digest?.text === digest.text) await this.store.cas(key, tag.version, null)
    }
  }

  /** Whether there is anything in a repository. */
  async exists(repository: string): Promise<boolean> {
    for await (const _ of this.store.list(repositoryKeys(repository))) return true
    return false
  }

  /** Most are fresh: an engine asks the storage twice to touch. */
  async #head(key: ObjectKey, touchBefore: number): Promise<ObjectInfo | undefined> {
    const info = await this.store.head(key)
    return info === undefined || info.modifiedMs >= touchBefore ? info : this.store.head(key, { touchBefore })
  }

  async #findContent(digest: ContentDigest, touchBefore: number): Promise<ObjectInfo | undefined> {
    const known = this.#contents.get(digest.text)
    if (known !== undefined && this.#now() - known.at < contentMs && known.info.modifiedMs >= touchBefore) {
      return known.info
    }
    const info = await this.#head(contentKey(digest), touchBefore)
    if (info === undefined) this.#contents.delete(digest.text)
    else this.#contents.set(digest.text, { info, at: this.#now() })
    return info
  }

  async #tagAt(key: ObjectKey): Promise<StoredTag | undefined> {
    const found = await this.#read(key, () => true)
    if (found === undefined) return undefined
    const { version, value } = found
    return { version, digest: tagShape(value) ? parseContentDigest((value as TagTarget).digest) : undefined }
  }

  /** A small JSON object. What is no such thing is taken as absent: it was not written by this lib. */
  async #read(
    key: ObjectKey,
    shape: Shape,
    touchBefore?: number,
  ): Promise<{ readonly version: string; readonly value: unknown } | undefined> {
    const info = await this.#head(key, touchBefore ?? 0)
    if (info === undefined) return undefined
    let known = this.#values.get(key)
    if (known?.version !== info.version) {
      const body = await this.store.get(key)
      if (body === undefined) return undefined
      known = { version: body.info.version, bytes: await collect(body.stream) }
      this.#values.set(key, known)
    }
    const value = parseJson(known.bytes.toString())
    return shape(value) ? { version: known.version, value } : undefined
  }

  /** @returns false where it was there */
  #putOnce(key: ObjectKey, bytes: Buffer): Promise<boolean> {
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return this.store.putIfAbsent(key, bytes, { sha256, size: bytes.length })
  }

  async #remove(key: ObjectKey): Promise<boolean> {
    if ((await this.store.head(key)) === undefined) return false
    await this.store.delete(key)
    return true
  }
}

function toBytes(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}
