import type { ObjectInfo, ObjectKey, ObjectStore } from '@tsbuild/object-store'
import { count, isRecord, objectOf, parseJson, text } from '@tsbuild/shape'
import {
  blobLinkKey,
  contentKey,
  contentPrefix,
  manifestLinkKey,
  parseDistributionKey,
  referrerKey,
  repositoriesPrefix,
  tagsPrefix,
} from './layout.ts'
import { type ManifestContent, readManifest } from './manifest-content.ts'
import { type ContentDigest, parseContentDigest } from './names.ts'

/** What only the whole server knows of repositories. */
export interface RepositoryRules<Retention> {
  readonly store: ObjectStore
  /** What becomes of manifests that nobody uses, by whether a tag names them. */
  readonly retentionOf: (repository: string, isTagged: boolean) => Retention
  /** For manifests that others name, or that are about others: they stay as long as those. */
  readonly kept: Retention
  /** How long a blob that no manifest has yet may wait for one. */
  readonly waitMs: (repository: string) => number
}

/** A manifest of a repository. */
interface FoundManifest {
  readonly info: ObjectInfo
  readonly digest: ContentDigest
  /** Undefined where its bytes are gone, or make no sense any more: it holds only them. */
  readonly content: ManifestContent | undefined
}

const linkShape = objectOf({ v: (v) => v === 1, size: count, mediaType: text })
const tagShape = objectOf({ v: (v) => v === 1, digest: text })
const mostManifestBytes = 64 * 1024 * 1024

/**
 * What a collector of garbage is told of repositories (`Keeper` of libs/cache-service): a manifest holds its bytes, the blobs that it
 * names in its repository, and as long as it is there itself the manifests that it names. A link to a blob holds the bytes.
 */
export function repositoryKeeper<Retention>(rules: RepositoryRules<Retention>) {
  const { store } = rules
  return {
    name: 'repositories',
    holders: (signal: AbortSignal) => holdersOf(rules, signal),
    evict: async (
      holders: readonly { readonly key: ObjectKey; readonly version: string }[],
      notAfterMs: number,
      signal: AbortSignal,
    ): Promise<readonly ObjectKey[]> => {
      const gone: ObjectKey[] = []
      for (const { key, version } of holders) {
        const found = await readManifestAt(store, { key, version })
        if (!(await store.delete(key, { version, notAfterMs }, { signal }))) continue
        gone.push(key)
        if (found !== undefined) await removeTraces(store, found.repository, found, signal)
      }
      return gone
    },
    sweeps: [
      {
        prefix: repositoriesPrefix,
        held: (key: ObjectKey) => {
          const parsed = parseDistributionKey(key)
          return parsed?.kind === 'blob' ? [contentKey(parsed.digest)] : undefined
        },
        waitMs: (key: ObjectKey) => {
          const parsed = parseDistributionKey(key)
          return parsed?.kind === 'blob' ? rules.waitMs(parsed.repository) : 0
        },
      },
      {
        prefix: contentPrefix,
        held: (key: ObjectKey) => (parseDistributionKey(key)?.kind === 'content' ? [] : undefined),
      },
    ],
  }
}

/** What was found of one repository. */
interface FoundRepository {
  readonly name: string
  readonly manifests: FoundManifest[]
  /** Digests that tags name. */
  readonly tagged: Set<string>
}

/** What is in one repository comes together in the order of keys: manifests, and then tags. */
async function* holdersOf<Retention>(rules: RepositoryRules<Retention>, signal: AbortSignal) {
  let found: FoundRepository | undefined
  for await (const info of rules.store.list(repositoriesPrefix, { signal })) {
    const parsed = parseDistributionKey(info.key)
    if (parsed?.kind !== 'manifest' && parsed?.kind !== 'tag') continue
    if (found !== undefined && found.name !== parsed.repository) yield* holdersIn(found, rules)
    if (found?.name !== parsed.repository) {
      found = { name: parsed.repository, manifests: [], tagged: new Set() }
    }
    if (parsed.kind === 'manifest') {
      const read = await readManifestAt(rules.store, info)
      found.manifests.push({ info, digest: parsed.digest, content: read?.content })
    } else {
      const tag = await readTagAt(rules.store, info.key)
      if (tag !== undefined) found.tagged.add(tag)
    }
  }
  if (found !== undefined) yield* holdersIn(found, rules)
}

function* holdersIn<Retention>(
  { name, manifests, tagged }: FoundRepository,
  { retentionOf, kept }: RepositoryRules<Retention>,
) {
  const named = new Set(manifests.flatMap(({ content }) => content?.manifests.map(({ text }) => text) ?? []))
  const there = new Set(manifests.map(({ digest }) => digest.text))
  for (const { info, digest, content } of manifests) {
    const { key, version, modifiedMs } = info
    const blobs = (content?.blobs ?? []).map((blob) => blobLinkKey(name, blob))
    const isAbout = content?.subject !== undefined && there.has(content.subject.text)
    const retention = named.has(digest.text) || isAbout ? kept : retentionOf(name, tagged.has(digest.text))
    yield { key, version, modifiedMs, usedMs: modifiedMs, holds: [contentKey(digest), ...blobs], retention }
  }
}

/** The digest that a tag names. */
async function readTagAt(store: ObjectStore, key: ObjectKey): Promise<string | undefined> {
  const tag = parseJson((await readSmall(store, key))?.toString() ?? '')
  return isRecord(tag) && tagShape(tag) ? parseContentDigest(String(tag.digest))?.text : undefined
}

/** What a link to a manifest leads to. */
async function readManifestAt(
  store: ObjectStore,
  { key }: Pick<ObjectInfo, 'key' | 'version'>,
): Promise<{ repository: string; digest: ContentDigest; content: ManifestContent } | undefined> {
  const parsed = parseDistributionKey(key)
  if (parsed?.kind !== 'manifest') return undefined
  const link = parseJson((await readSmall(store, key))?.toString() ?? '')
  const bytes = await readSmall(store, contentKey(parsed.digest))
  if (bytes === undefined || !isRecord(link) || !linkShape(link)) return undefined
  try {
    const content = readManifest(bytes, String(link.mediaType))
    return { repository: parsed.repository, digest: parsed.digest, content }
  } catch {
    // It was taken once: it is damaged, or of rules that have changed.
    return undefined
  }
}

/** What names a manifest that is gone is passed over by readers; this is for order. */
async function removeTraces(
  store: ObjectStore,
  repository: string,
  { digest, content }: { readonly digest: ContentDigest; readonly content: ManifestContent },
  signal: AbortSignal,
): Promise<void> {
  for await (const { key, version } of store.list(tagsPrefix(repository), { signal })) {
    if ((await readTagAt(store, key)) === digest.text) await store.cas(key, version, null)
  }
  const { subject } = content
  // Somebody may have stored it again.
  const isBack = (await store.head(manifestLinkKey(repository, digest))) !== undefined
  if (subject !== undefined && !isBack) await store.delete(referrerKey(repository, subject, digest))
}

async function readSmall(store: ObjectStore, key: ObjectKey): Promise<Buffer | undefined> {
  const body = await store.get(key)
  if (body === undefined) return undefined
  if (body.info.size > mostManifestBytes) {
    body.stream.destroy()
    return undefined
  }
  const parts: Buffer[] = []
  for await (const part of body.stream) parts.push(part)
  return Buffer.concat(parts)
}
