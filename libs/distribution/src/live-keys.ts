import type { ObjectKey } from '@tsbuild/object-store'
import {
  blobLinkKey,
  contentKey,
  manifestLinkKey,
  parseDistributionKey,
  repositoriesPrefix,
  repositoryKeys,
} from './layout.ts'
import { readManifest } from './manifest-content.ts'
import { type ContentDigest, parseContentDigest } from './names.ts'
import type { Repositories } from './repositories.ts'

/** What else, besides tags, keeps things in a repository alive. */
export interface LiveRoots {
  /** Blobs that something else refers to: the layers of cache records. */
  readonly blobs?: Iterable<ContentDigest> | undefined
  /** Manifests without a tag that are to stay. */
  readonly manifests?: Iterable<ContentDigest> | undefined
}

/**
 * Every key of one repository that a tag or another root leads to, and the keys of the content behind them: tags, manifests with
 * what they name, and manifests about a live subject. What is listed by the store and not in here may go when it is older than the grace
 * (at least twice {@link promiseMs}); links before content.
 *
 * Reads each manifest once. What is put while it runs may be missing: it is young.
 *
 * @throws what the store throws; then nothing is known, and nothing may go
 */
export async function liveKeys(
  repositories: Repositories,
  repository: string,
  roots: LiveRoots = {},
): Promise<ReadonlySet<ObjectKey>> {
  const live = new Set<ObjectKey>()
  const found = await survey(repositories, repository)
  const waiting: ContentDigest[] = [...(roots.manifests ?? [])]
  for (const { key, digest } of found.tags) {
    live.add(key)
    waiting.push(digest)
  }
  const keepBlob = (digest: ContentDigest) => {
    live.add(blobLinkKey(repository, digest))
    live.add(contentKey(digest))
  }
  for (const digest of roots.blobs ?? []) keepBlob(digest)
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    const key = manifestLinkKey(repository, digest)
    if (live.has(key)) continue
    const manifest = await repositories.findManifest(repository, digest)
    if (manifest === undefined) continue
    live.add(key).add(contentKey(digest))
    for (const { key: entry, digest: about } of found.referrers.get(digest.text) ?? []) {
      live.add(entry)
      waiting.push(about)
    }
    const bytes = await repositories.readContent(digest)
    if (bytes === undefined) continue
    const { blobs, manifests } = readManifest(bytes, manifest.mediaType)
    for (const blob of blobs) keepBlob(blob)
    waiting.push(...manifests)
  }
  return live
}

interface Named {
  readonly key: ObjectKey
  readonly digest: ContentDigest
}

/** The tags of a repository, and its referrers by their subject. */
async function survey(repositories: Repositories, repository: string) {
  const tags: Named[] = []
  const referrers = new Map<string, Named[]>()
  for await (const { key } of repositories.store.list(`${repositoryKeys(repository)}tags/`)) {
    const parsed = parseDistributionKey(key)
    const tag = parsed?.kind === 'tag' ? await repositories.readTag(repository, parsed.tag) : undefined
    if (tag?.digest !== undefined) tags.push({ key, digest: tag.digest })
  }
  for await (const { key } of repositories.store.list(`${repositoryKeys(repository)}referrers/`)) {
    const entry = await repositories.readReferrer(repository, key)
    const digest = parseContentDigest(entry?.descriptor.digest ?? '')
    if (entry === undefined || digest === undefined) continue
    referrers.set(entry.subject, [...(referrers.get(entry.subject) ?? []), { key, digest }])
  }
  return { tags, referrers }
}

/** The names of all repositories, in the order of their keys: one listing for each, given up after its first key. */
export async function* repositoryNames(
  repositories: Repositories,
  options: { readonly after?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<string> {
  let after = options.after
  for (;;) {
    const name = await nextRepository(repositories, after, options.signal)
    if (name === undefined) return
    yield name
    after = name
  }
}

async function nextRepository(
  { store }: Repositories,
  before: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  // Behind all keys of that repository, and before those of any other.
  const after = before === undefined ? undefined : `${repositoryKeys(before)}zz`
  for await (const { key } of store.list(repositoriesPrefix, { after, signal })) {
    const end = key.indexOf('/_')
    if (end !== -1) return key.slice(repositoriesPrefix.length, end)
  }
  return undefined
}
