import type { FieldDifference, FileDifference, LayerEntry } from './types.ts'

/** What differs between the files of two layers, by path. A layer that has a path twice means the last one. */
export function compareLayers(
  before: readonly LayerEntry[],
  after: readonly LayerEntry[],
): readonly FileDifference[] {
  const [ours, theirs] = [byPath(before), byPath(after)]
  const paths = [...new Set([...ours.keys(), ...theirs.keys()])].sort()
  const differences = paths.flatMap((path): readonly FileDifference[] => {
    const [one, other] = [ours.get(path), theirs.get(path)]
    if (one === undefined) return [{ path, kind: 'added', fields: [] }]
    if (other === undefined) return [{ path, kind: 'removed', fields: [] }]
    const fields = fieldsOf(one, other)
    return fields.length === 0 ? [] : [{ path, kind: 'changed', fields }]
  })
  return differences.length > 0 ? differences : moved(before, after)
}

function byPath(entries: readonly LayerEntry[]): ReadonlyMap<string, LayerEntry> {
  return new Map(entries.map((entry) => [entry.path, entry]))
}

/** The same files in another order make another layer. Told of only where nothing else is the cause. */
function moved(before: readonly LayerEntry[], after: readonly LayerEntry[]): readonly FileDifference[] {
  return before.flatMap(({ path }, index) =>
    after[index]?.path === path ? [] : [{ path, kind: 'moved' as const, fields: [] }],
  )
}

const shown: Readonly<Record<Exclude<keyof LayerEntry, 'path' | 'xattrs'>, (entry: LayerEntry) => string>> = {
  type: ({ type }) => type,
  mode: ({ mode }) => mode.toString(8).padStart(4, '0'),
  uid: ({ uid }) => String(uid),
  gid: ({ gid }) => String(gid),
  size: ({ size }) => String(size),
  mtime: ({ mtime }) => timeText(mtime),
  target: ({ target }) => target,
  device: ({ device }) => device,
  content: ({ content }) => content,
}

function fieldsOf(one: LayerEntry, other: LayerEntry): readonly FieldDifference[] {
  const fields = Object.entries(shown).map(([name, text]) => ({
    name,
    before: text(one),
    after: text(other),
  }))
  const names = [...new Set([...Object.keys(one.xattrs), ...Object.keys(other.xattrs)])].sort()
  const xattrs = names.map((name) => ({
    name: `xattr ${name}`,
    before: one.xattrs[name],
    after: other.xattrs[name],
  }))
  return [...fields, ...xattrs].filter(({ before, after }) => before !== after)
}

/** RFC 3339, with the fraction where there is one; what is out of JavaScript's range as seconds. */
function timeText(seconds: number): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return `${seconds} s`
  return date.toISOString().replace('.000Z', 'Z')
}
