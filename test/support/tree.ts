import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Describes every file below a folder, one line each, sorted by path: type, mode, owner, size, link target, content
 * digest, device number, and which path it shares its inode with. Times are left out.
 *
 * @param skip paths (with a leading slash) that are left out with everything below them
 */
export function describeTree(root: string, skip: readonly string[] = []): readonly string[] {
  const firstOf = new Map<string, string>()
  const walk = (path: string): readonly string[] =>
    readdirSync(join(root, path))
      .toSorted()
      .map((name) => `${path}/${name}`)
      .filter((child) => !skip.includes(child))
      .flatMap((child) => {
        const line = describeFile(root, child, firstOf)
        return lstatSync(join(root, child)).isDirectory() ? [line, ...walk(child)] : [line]
      })
  return walk('')
}

function describeFile(root: string, path: string, firstOf: Map<string, string>): string {
  const absolute = join(root, path)
  const stat = lstatSync(absolute)
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0')
  const head = `${path} ${mode} ${stat.uid}:${stat.gid}`
  if (stat.isDirectory()) return `${head} directory`
  const inode = `${stat.dev}:${stat.ino}`
  const first = firstOf.get(inode)
  if (first !== undefined) return `${head} same as ${first}`
  firstOf.set(inode, path)
  if (stat.isSymbolicLink()) return `${path} ${stat.uid}:${stat.gid} symlink ${readlinkSync(absolute)}`
  if (stat.isFile())
    return `${head} file ${stat.size} ${createHash('sha256').update(readFileSync(absolute)).digest('hex')}`
  if (stat.isFIFO()) return `${head} fifo`
  return `${head} device ${stat.rdev}`
}
