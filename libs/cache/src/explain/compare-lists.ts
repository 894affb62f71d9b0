import type { FileChange } from './types.ts'

/** A line of a content manifest. @see docs/dev/cache-keys.md "Content digests" */
interface Entry {
  readonly kind: string
  readonly mode: string
  readonly owner: string
  /** Size and digest of a file, target of a link, number of a device. */
  readonly content: string
  readonly attributes: string
}

const kinds: Readonly<Record<string, string>> = {
  f: 'file',
  d: 'directory',
  i: 'directory',
  l: 'symlink',
  p: 'fifo',
  c: 'character device',
  b: 'block device',
}

/** How many fields stand between the owner and the attributes. */
const contentFields: Readonly<Record<string, number>> = { f: 2, l: 1, c: 1, b: 1 }

/**
 * Says what differs between two lists of files, by path. Only the lines that differ are looked into, so that two lists of 50,000
 * files cost about one pass each.
 */
export function compareLists(before: string, after: string): readonly FileChange[] {
  const removed = entriesOf(linesWithout(before, after))
  const added = entriesOf(linesWithout(after, before))
  const paths = [...new Set([...removed.keys(), ...added.keys()])].sort()
  return paths.flatMap((path) => changesOf(path, removed.get(path), added.get(path)))
}

/** The sizes of a list's files, largest first. */
export function largestFiles(
  list: string,
  count: number,
): readonly { readonly path: string; readonly bytes: number }[] {
  const files = list.split('\n').flatMap((line) => {
    const fields = line.split(' ')
    const bytes = Number(fields[3])
    return fields[0] === 'f' && Number.isSafeInteger(bytes) ? [{ path: pathOf(fields), bytes }] : []
  })
  return files.toSorted((a, b) => b.bytes - a.bytes).slice(0, count)
}

/** Lines of one list that the other has not, or not as often. */
function linesWithout(list: string, other: string): readonly string[] {
  const counts = new Map<string, number>()
  for (const line of other.split('\n')) counts.set(line, (counts.get(line) ?? 0) + 1)
  return list.split('\n').filter((line) => {
    const count = counts.get(line) ?? 0
    if (count > 0) counts.set(line, count - 1)
    return count === 0
  })
}

function entriesOf(lines: readonly string[]): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>()
  for (const line of lines) {
    const fields = line.split(' ')
    const [kind = '', mode = '', owner = ''] = fields
    if (kinds[kind] === undefined || fields.length < 4) continue
    const content = 3 + (contentFields[kind] ?? 0)
    entries.set(pathOf(fields), {
      kind: kinds[kind] ?? kind,
      mode,
      owner,
      content: fields.slice(3, content).join(' '),
      attributes: fields.slice(content, -1).join(' '),
    })
  }
  return entries
}

function changesOf(path: string, before: Entry | undefined, after: Entry | undefined): readonly FileChange[] {
  if (before === undefined) return [{ path, change: 'added' }]
  if (after === undefined) return [{ path, change: 'removed' }]
  if (before.kind !== after.kind) return [{ path, change: 'kind', before: before.kind, after: after.kind }]
  const changes: FileChange[] = []
  if (before.content !== after.content) {
    changes.push(
      before.kind === 'symlink'
        ? { path, change: 'target', before: unescaped(before.content), after: unescaped(after.content) }
        : { path, change: 'content' },
    )
  }
  for (const field of ['mode', 'owner'] as const) {
    // Where the copy gives everything one of its own, that of the source does not count.
    if (before[field] === '-' || after[field] === '-') continue
    if (before[field] !== after[field])
      changes.push({ path, change: field, before: before[field], after: after[field] })
  }
  if (before.attributes !== after.attributes) changes.push({ path, change: 'attributes' })
  return changes
}

function pathOf(fields: readonly string[]): string {
  return unescaped(fields.at(-1) ?? '').replace(/^\//, '')
}

/** What is no UTF-8 stays recognisable. */
function unescaped(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/g, (bytes) =>
    Buffer.from(bytes.replaceAll('%', ''), 'hex').toString('utf8'),
  )
}
