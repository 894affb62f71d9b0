import { posix } from 'node:path'
import { byBytes } from '../keys/file-step.ts'
import type { ContentEntry } from './entry.ts'

/** A file or directory of a {@link ContentTree}. The root has no entry. */
export interface ContentNode {
  /** Absolute; '' for the root. */
  readonly path: string
  readonly entry: ContentEntry | undefined
  /** By name; sorted by the bytes of the names once all are there. */
  readonly children: Map<string, ContentNode>
}

/** Files by their paths. */
export interface ContentTree {
  readonly root: ContentNode
  /**
   * Finds a path, through symlinks as BuildKit goes through them.
   * @param followLast whether the path itself may be a symlink that is followed
   */
  find(path: string, followLast: boolean): ContentNode | undefined
}

const maxLinks = 255

/** Puts entries together. Directories on the way that have none of their own are plain ones of root's. */
export function contentTree(entries: readonly ContentEntry[]): ContentTree {
  const root: ContentNode = { path: '', entry: undefined, children: new Map() }
  for (const entry of [...entries].sort((a, b) => byBytes(a.path, b.path))) {
    const names = entry.path.split('/').filter((name) => name !== '')
    let node = root
    for (const [depth, name] of names.entries()) {
      const isLast = depth === names.length - 1
      const known = node.children.get(name)
      const path = `${node.path}/${name}`
      const made = known ?? { path, entry: isLast ? entry : directory(path), children: new Map() }
      if (known === undefined) node.children.set(name, made)
      node = made
    }
  }
  return { root, find: (path, followLast) => find(root, path, followLast) }
}

function directory(path: string): ContentEntry {
  return {
    path,
    kind: 'directory',
    mode: 0o755,
    uid: 0,
    gid: 0,
    size: 0,
    sha256: undefined,
    target: '',
    attributes: [],
  }
}

/** The children of a node in the order in which BuildKit counts them. */
export function childrenOf({ children }: ContentNode): readonly ContentNode[] {
  return [...children.values()].sort((a, b) => byBytes(a.path, b.path))
}

function find(root: ContentNode, path: string, followLast: boolean): ContentNode | undefined {
  let names = namesOf(path)
  let at: ContentNode[] = [root]
  let links = 0
  while (names.length > 0) {
    const [name = '', ...rest] = names
    names = rest
    if (name === '..') {
      if (at.length > 1) at = at.slice(0, -1)
      continue
    }
    const next = at.at(-1)?.children.get(name)
    if (next === undefined) return undefined
    if (next.entry?.kind !== 'symlink' || (rest.length === 0 && !followLast)) {
      at = [...at, next]
      continue
    }
    links += 1
    if (links > maxLinks) return undefined
    if (next.entry.target.startsWith('/')) at = [root]
    names = [...namesOf(next.entry.target), ...rest]
  }
  return at.at(-1)
}

function namesOf(path: string): readonly string[] {
  return posix
    .join('/', '')
    .concat(path)
    .split('/')
    .filter((name) => name !== '' && name !== '.')
}
