import { basename } from 'node:path'
import { editDistance } from '@tsbuild/errors'

/** Places looked at; a suggestion is not worth a walk of a large tree. */
const maxEntries = 20_000
/** A source of more characters was hardly typed, and comparing it with 20,000 names takes minutes. */
const longestName = 256

/**
 * Names in a context that a missing source may have meant: the same base name elsewhere, or a close one. At most three,
 * nearest first; none where the tree cannot be read.
 *
 * @param root absolute path of the context
 * @param source as written in the COPY
 */
export async function nearNames(root: string, source: string): Promise<readonly string[]> {
  const wanted = source.replace(/^(\.{0,2}\/)+/, '')
  const candidates: { readonly name: string; readonly distance: number }[] = []
  for (const name of await walk(root)) {
    const sameBase = basename(name) === basename(wanted)
    const farthest = Math.max(1, Math.floor(wanted.length / 4))
    // Each surplus character is an edit at least, and only near names are worth the comparison.
    if (!sameBase && (wanted.length > longestName || Math.abs(name.length - wanted.length) > farthest))
      continue
    const distance = sameBase ? 0 : editDistance(name.toLowerCase(), wanted.toLowerCase())
    if (distance <= farthest) candidates.push({ name, distance })
  }
  candidates.sort((a, b) => a.distance - b.distance || a.name.length - b.name.length)
  return candidates.slice(0, 3).map(({ name }) => name)
}

async function walk(root: string): Promise<readonly string[]> {
  const { default: glob } = await import('fast-glob')
  const names: string[] = []
  // A walker only, see docs/dev/dependencies.md: patterns and links are not its business.
  const stream = glob.stream('**/*', {
    cwd: root,
    dot: true,
    onlyFiles: false,
    followSymbolicLinks: false,
    suppressErrors: true,
    ignore: ['**/node_modules/**', '**/.git/**'],
    deep: 6,
  })
  for await (const name of stream) {
    names.push(String(name))
    if (names.length >= maxEntries) break
  }
  return names
}
