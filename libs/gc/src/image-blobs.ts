import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { type Digest, digestBytes, digestHex, isDigest } from '@tsbuild/digest'
import { isRecord, parseJson } from '@tsbuild/shape'
import type { NamedImage, Store } from '@tsbuild/store'

/** What documents of images may have; the same as anywhere in tsbuild. */
const maxDocumentBytes = 8 * 2 ** 20

/** An image of the local list, and what it is made of. */
export interface ReachedImage {
  /** Undefined for one that another tool put into the layout without a name. */
  readonly names: readonly string[]
  readonly digest: Digest
  /** Hex digits of every blob that belongs to it. */
  readonly blobs: ReadonlySet<string>
  /** Its own document is missing, or one below it is damaged, so that more blobs may belong to it. */
  readonly isWhole: boolean
}

/** Where blobs are read. */
export type BlobPaths = Pick<Store['blobs'], 'path'>

/**
 * What images are made of: nested indexes, manifests, configurations, layers, and what a manifest is about (`subject`).
 *
 * Documents are read without the store's own `read`, which would count as a use and move a damaged one away; they are verified here.
 *
 * @param referrers manifests that are about another one, from {@link findReferrers}: they belong to whatever has that one
 */
export function reachImages(
  blobs: BlobPaths,
  images: readonly (Pick<NamedImage, 'descriptor'> & { readonly name: string | undefined })[],
  referrers: ReadonlyMap<string, readonly Digest[]> = new Map(),
): readonly ReachedImage[] {
  const byDigest = new Map<Digest, string[]>()
  for (const { name, descriptor } of images) {
    const names = byDigest.get(descriptor.digest) ?? []
    byDigest.set(descriptor.digest, names)
    if (name !== undefined) names.push(name)
  }
  return [...byDigest].map(([digest, names]) => ({ names, digest, ...reach(blobs, digest, referrers) }))
}

function reach(blobs: BlobPaths, root: Digest, referrers: ReadonlyMap<string, readonly Digest[]>) {
  const reached = new Set<string>()
  let isWhole = true
  const pending = [root]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (reached.has(digestHex(next))) continue
    reached.add(digestHex(next))
    const document = readDocument(blobs, next)
    // An index may name manifests of platforms that nobody asked for.
    if (document === 'damaged' || (document === 'missing' && next === root)) isWhole = false
    else if (document !== 'missing') {
      const { documents, others } = namedBy(document)
      for (const other of others) reached.add(digestHex(other))
      pending.push(...documents)
    }
    pending.push(...(referrers.get(digestHex(next)) ?? []))
  }
  return { blobs: reached, isWhole }
}

/**
 * Manifests that are about another one (signatures, attestations), by the hex digits of that one. Only small files that begin as a
 * JSON object are read whole.
 *
 * @param candidates hex digits of blobs
 */
export function findReferrers(
  blobs: BlobPaths,
  candidates: Iterable<Digest>,
): ReadonlyMap<string, readonly Digest[]> {
  const found = new Map<string, Digest[]>()
  for (const digest of candidates) {
    const document = mayBeDocument(blobs.path(digest)) ? readDocument(blobs, digest) : 'missing'
    const subject = typeof document === 'string' ? undefined : digestOf(document.subject)
    if (subject === undefined) continue
    const list = found.get(digestHex(subject)) ?? []
    found.set(digestHex(subject), list)
    list.push(digest)
  }
  return found
}

function mayBeDocument(path: string): boolean {
  try {
    if (statSync(path).size > maxDocumentBytes) return false
    const fd = openSync(path, 'r')
    try {
      const first = Buffer.alloc(1)
      return readSync(fd, first) === 1 && first.toString() === '{'
    } finally {
      closeSync(fd)
    }
  } catch {
    return false
  }
}

/** What is too large or no JSON object counts as damaged. */
function readDocument(blobs: BlobPaths, digest: Digest): Record<string, unknown> | 'missing' | 'damaged' {
  const path = blobs.path(digest)
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return 'missing'
  if (!stat.isFile() || stat.size > maxDocumentBytes) return 'damaged'
  const bytes = readIfPossible(path)
  const value = bytes !== undefined && digestBytes(bytes) === digest ? parseJson(bytes.toString()) : undefined
  return isRecord(value) ? value : 'damaged'
}

/** A bad block of the disk is damage like any other. */
function readIfPossible(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}

/** What a manifest or index names: other documents, and blobs that name nothing. */
function namedBy(document: Record<string, unknown>): {
  readonly documents: readonly Digest[]
  readonly others: readonly Digest[]
} {
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
  const digests = (values: readonly unknown[]) => values.map(digestOf).filter((one) => one !== undefined)
  return {
    documents: digests([...list(document.manifests), document.subject]),
    others: digests([...list(document.layers), ...list(document.blobs), document.config]),
  }
}

function digestOf(descriptor: unknown): Digest | undefined {
  const digest = isRecord(descriptor) ? descriptor.digest : undefined
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined
}
