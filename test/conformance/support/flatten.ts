import type { Entry, Tree } from './entry.ts'
import { readTar, type TarMember } from './read-tar.ts'

const types: Readonly<Record<string, Entry['type']>> = {
  '0': 'file',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
}

/** A file while layers are put on one another; names of the same file share one. */
interface Inode {
  entry: Entry
}

/**
 * Puts layers, lowest first and not compressed, on one another as a container runtime does: whiteouts take away, opaque folders
 * hide what was below, hard links share their file.
 *
 * @throws {Error} for an entry that no runtime could apply: a link to nothing, an unknown type
 * @see https://github.com/opencontainers/image-spec/blob/main/layer.md
 */
export function flatten(layers: readonly Buffer[]): Tree {
  const inodes = new Map<string, Inode>()
  for (const layer of layers) applyLayer(inodes, readTar(layer))
  return withHardlinks(inodes)
}

function applyLayer(inodes: Map<string, Inode>, members: readonly TarMember[]): void {
  const mine = new Set<string>()
  for (const member of members) {
    const path = member.name.replace(/^(\.?\/)+|^\.$|\/+$/g, '')
    const [folder, name] = [path.replace(/[^/]*$/, ''), path.replace(/^.*\//, '')]
    if (name === '.wh..wh..opq') removeBelow(inodes, folder, mine)
    else if (name.startsWith('.wh.')) removeAt(inodes, folder + name.slice('.wh.'.length), mine)
    else {
      put(inodes, path, member)
      mine.add(path)
    }
  }
}

function put(inodes: Map<string, Inode>, path: string, member: TarMember): void {
  if (member.type === '1') {
    const target = inodes.get(member.link.replace(/^(\.?\/)+/, ''))
    if (target === undefined) throw new Error(`${path} is a link to ${member.link}, which is not there`)
    inodes.set(path, target)
    return
  }
  const type = types[member.type]
  if (type === undefined) throw new Error(`${path} has the unknown type ${member.type}`)
  if (type !== 'directory') removeBelow(inodes, `${path}/`, new Set())
  const isDevice = type === 'character' || type === 'block'
  inodes.set(path, {
    entry: {
      type,
      mode: member.mode,
      uid: member.uid,
      gid: member.gid,
      content: member.content,
      target: type === 'symlink' ? member.link : undefined,
      device: isDevice ? member.device : undefined,
      xattrs: member.xattrs,
      mtime: member.mtime,
      hardlink: undefined,
    },
  })
}

function removeAt(inodes: Map<string, Inode>, path: string, kept: ReadonlySet<string>): void {
  if (!kept.has(path)) inodes.delete(path)
  removeBelow(inodes, `${path}/`, kept)
}

function removeBelow(inodes: Map<string, Inode>, folder: string, kept: ReadonlySet<string>): void {
  for (const path of inodes.keys()) if (path.startsWith(folder) && !kept.has(path)) inodes.delete(path)
}

function withHardlinks(inodes: ReadonlyMap<string, Inode>): Tree {
  const firstOf = new Map<Inode, string>()
  const tree = new Map<string, Entry>()
  for (const path of [...inodes.keys()].toSorted()) {
    const inode = inodes.get(path)
    if (inode === undefined) continue
    const first = firstOf.get(inode)
    if (first === undefined) firstOf.set(inode, path)
    tree.set(path, { ...inode.entry, hardlink: first })
  }
  return tree
}
