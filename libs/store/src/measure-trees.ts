import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { onDiskSync, unlessErrnoSync } from './fs-failure.ts'

/**
 * The bytes that trees take on disk: allocated blocks, a file with several names once for all trees together, 0 for what is gone.
 * Follows no symbolic link.
 */
export async function measureTrees(paths: readonly string[]): Promise<readonly number[]> {
  const links = new Set<string>()
  return paths.map((path) => measureTree(path, links))
}

function measureTree(root: string, links: Set<string>): number {
  let bytes = 0
  const pending = [root]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const found = statOf(path)
    if (found === undefined) continue
    bytes += allocated(found, links)
    if (!found.isDirectory()) continue
    for (const name of entriesOf(path)) pending.push(join(path, name))
  }
  return bytes
}

function allocated(stat: Stats, links: Set<string>): number {
  if (!stat.isDirectory() && stat.nlink > 1) {
    const inode = `${stat.dev}:${stat.ino}`
    if (links.has(inode)) return 0
    links.add(inode)
  }
  return stat.blocks * 512
}

function statOf(path: string): Stats | undefined {
  return onDiskSync('look up', path, () => lstatSync(path, { throwIfNoEntry: false }))
}

function entriesOf(path: string): readonly string[] {
  return onDiskSync('read', path, () => unlessErrnoSync(['ENOENT', 'ENOTDIR'], () => readdirSync(path))) ?? []
}
