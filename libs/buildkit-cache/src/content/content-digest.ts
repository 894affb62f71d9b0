import { createHash, type Hash } from 'node:crypto'
import { posix } from 'node:path'
import { type Digest, digestBytes, digestFromHex } from '@tsbuild/digest'
import type { Dialect } from '../keys/dialect.ts'
import type { ContentSelector } from '../keys/node.ts'
import { type ContentNode, type ContentTree, childrenOf } from './content-tree.ts'
import type { ContentEntry } from './entry.ts'
import { pathMatches } from './path-match.ts'

/** Reads the bytes of a file of a context. */
export type ReadContent = (entry: ContentEntry) => AsyncIterable<Uint8Array>

/** Digests of the files of one tree, each made once. */
export interface ContentDigests {
  /**
   * What BuildKit's contenthash gives for selections of this tree.
   * @returns undefined for a path that is not there, and for what is not known here: patterns that leave files out
   * @throws whatever reading throws, or an error for bytes that are other ones than the list says
   */
  of(selectors: readonly ContentSelector[], dialect: Dialect): Promise<Digest | undefined>
}

/** The root is not sent with a context: it counts as nothing. */
const rootHeader = digestBytes('')

/** Begins with nothing read. */
export function contentDigests(tree: ContentTree, read: ReadContent): ContentDigests {
  const files = new Map<ContentNode, Promise<Digest>>()
  const headerOf = (node: ContentNode): Promise<Digest> => {
    const { entry } = node
    if (entry === undefined) return Promise.resolve(rootHeader)
    const known = files.get(node) ?? fileDigest(entry, read)
    files.set(node, known)
    return known
  }
  const directories = new Map<ContentNode, Promise<Digest>>()
  const digestOf = (node: ContentNode): Promise<Digest> => {
    if (!isDirectory(node)) return headerOf(node)
    const known = directories.get(node) ?? directoryDigest(node, headerOf, digestOf)
    directories.set(node, known)
    return known
  }
  const maker = { tree, headerOf, digestOf }
  return {
    async of(selectors, dialect) {
      const digests: Digest[] = []
      for (const selector of selectors) {
        const digest = await selectedDigest(selector, dialect, maker)
        if (digest === undefined) return undefined
        digests.push(digest)
      }
      return digestBytes(digests.join('\0'))
    },
  }
}

interface Maker {
  readonly tree: ContentTree
  /** Of a directory without what is in it. */
  readonly headerOf: (node: ContentNode) => Promise<Digest>
  readonly digestOf: (node: ContentNode) => Promise<Digest>
}

const isDirectory = ({ entry }: ContentNode) => entry === undefined || entry.kind === 'directory'

async function selectedDigest(
  { path, wildcard, followLinks, exclude }: ContentSelector,
  { filters }: Dialect,
  maker: Maker,
): Promise<Digest | undefined> {
  if (exclude.length > 0) return undefined
  if (wildcard) return await (filters ? matchedFiles : matchedNames)(path, followLinks, maker)
  const node = maker.tree.find(path, followLinks)
  return node === undefined ? undefined : await maker.digestOf(node)
}

/** A directory counts with its own header and with what is in it, each by its name. */
async function directoryDigest(
  node: ContentNode,
  headerOf: Maker['headerOf'],
  digestOf: Maker['digestOf'],
): Promise<Digest> {
  const hash = createHash('sha256').update(`\0${await headerOf(node)}`)
  for (const child of childrenOf(node)) hash.update(`\0${posix.basename(child.path)}${await digestOf(child)}`)
  return finish(hash)
}

/** Of each match, and of all in it, the path below the part without a wildcard and the digest. */
async function matchedFiles(
  pattern: string,
  followLinks: boolean,
  maker: Maker,
): Promise<Digest | undefined> {
  const { prefix, start } = startOf(pattern, maker.tree)
  const found: { readonly path: string; readonly digest: Digest }[] = []
  if (start !== undefined) {
    for (const { node, path } of matchesBelow(pattern, prefix, start)) {
      const all = isDirectory(node) ? withContents(node, path) : [{ node, path }]
      for (const each of all) {
        const digest = await matchedDigest(each.node, followLinks && each.node === node, maker)
        if (digest === undefined) return undefined
        found.push({ path: each.path, digest })
      }
    }
  }
  const [first] = found
  if (first === undefined) return digestBytes('')
  if (found.length === 1 && posix.basename(pattern) === posix.basename(first.path)) return first.digest
  const hash = createHash('sha256')
  for (const { path, digest } of found) hash.update(`${keyOf(path.slice(prefix.length))}${digest}`)
  return finish(hash)
}

async function matchedDigest(node: ContentNode, follow: boolean, { tree, headerOf, digestOf }: Maker) {
  if (!follow || node.entry?.kind !== 'symlink') return await headerOf(node)
  const target = tree.find(node.path, true)
  return target === undefined ? undefined : await digestOf(target)
}

/** In the oldest form only the last names count, and a directory counts as a whole. */
async function matchedNames(
  pattern: string,
  followLinks: boolean,
  maker: Maker,
): Promise<Digest | undefined> {
  const matches = matchesBelow(pattern, '', maker.tree.root)
  const parts: { readonly name: string; readonly digest: Digest }[] = []
  for (const { node, path } of matches) {
    const target = followLinks ? maker.tree.find(node.path, true) : node
    if (target === undefined) return undefined
    parts.push({ name: posix.basename(path), digest: await maker.digestOf(target) })
  }
  const [first] = parts
  if (first === undefined) return digestBytes('')
  if (parts.length === 1 && posix.basename(pattern) === first.name) return first.digest
  return digestBytes(parts.map(({ name, digest }) => `${name}${digest}`).join('\0'))
}

/** Where a pattern begins to have wildcards; `prefix` is as written, the node is where symlinks lead. */
function startOf(pattern: string, tree: ContentTree) {
  const names = pattern.split('/').filter((name) => name !== '')
  const first = names.findIndex((name) => /[*?[]/.test(name.replace(/\\./gs, '')))
  const plain = names.slice(0, first < 0 ? names.length : first)
  if (plain.length === 0) return { prefix: '', start: tree.root }
  const prefix = `/${plain.join('/')}`
  return { prefix, start: tree.find(prefix, true) }
}

/** What a pattern matches, in order; nothing within what matches is looked at. */
function matchesBelow(pattern: string, prefix: string, start: ContentNode) {
  const found: { readonly node: ContentNode; readonly path: string }[] = []
  const depth = pattern.split('/').length
  const visit = (node: ContentNode, path: string) => {
    if (path !== '' && pathMatches(pattern, path) === true) {
      found.push({ node, path })
      return
    }
    if (path.split('/').length >= depth) return
    for (const child of childrenOf(node)) visit(child, `${path}/${posix.basename(child.path)}`)
  }
  visit(start, prefix)
  return found
}

function withContents(node: ContentNode, path: string) {
  const all: { readonly node: ContentNode; readonly path: string }[] = []
  const pending = [{ node, path }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    all.push(next)
    for (const child of [...childrenOf(next.node)].reverse()) {
      pending.push({ node: child, path: `${next.path}/${posix.basename(child.path)}` })
    }
  }
  return all
}

function keyOf(path: string): string {
  return path === '' ? '\0' : path.replaceAll('/', '\0')
}

const typeFlags = { file: '0', directory: '5', symlink: '2' } as const

/** A file counts with what tar would say of it but its name and times, and with its bytes. */
async function fileDigest(entry: ContentEntry, read: ReadContent): Promise<Digest> {
  const { kind, mode, uid, gid, size, target, attributes } = entry
  const hash = createHash('sha256')
  hash.update(`namemode${mode}uid${uid}gid${gid}size${size}typeflag${typeFlags[kind]}linkname${target}`)
  hash.update('unamegnamedevmajor0devminor0')
  for (const [name, value] of [...attributes].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(name).update(value)
  if (kind === 'file' && size > 0) await hashBytes(hash, entry, read)
  return finish(hash)
}

async function hashBytes(hash: Hash, entry: ContentEntry, read: ReadContent): Promise<void> {
  const bytes = createHash('sha256')
  for await (const chunk of read(entry)) {
    hash.update(chunk)
    bytes.update(chunk)
  }
  if (entry.sha256 !== undefined && bytes.digest('hex') !== entry.sha256)
    throw new Error(`${entry.path} changed while it was read`)
}

function finish(hash: Hash): Digest {
  return digestFromHex(hash.digest('hex'))
}
