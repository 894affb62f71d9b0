import type { Listed, Listing } from './readers.ts'
import type { Surveyed } from './survey.ts'

/** What a tool made of an image. */
export interface Made {
  readonly refusal?: string
  readonly files?: readonly Surveyed[]
}

/** How another tool's result differs from ours; undefined where both refuse, or the trees are equal field by field. */
export function compareTrees(ours: Made, theirs: Made): string | readonly string[] | undefined {
  if (ours.files === undefined)
    return theirs.files === undefined ? undefined : `only tsbuild refuses: ${ours.refusal}`
  if (theirs.files === undefined) return `only the other refuses: ${theirs.refusal?.slice(0, 200)}`
  const others = new Map(theirs.files.map((file) => [file.path, file]))
  const differences = ours.files.flatMap((file) => {
    const other = others.get(file.path)
    others.delete(file.path)
    return other === undefined ? [`only tsbuild has ${file.path}`] : compareFiles(file, other)
  })
  const all = [...differences, ...[...others.keys()].map((path) => `only the other has ${path}`)]
  return all.length === 0 ? undefined : all
}

function compareFiles(file: Surveyed, other: Surveyed): readonly string[] {
  const [left, right] = [comparable(file), comparable(other)]
  if (!described(file) || !described(other)) left.mtime = right.mtime
  return Object.keys(left).flatMap((field) => {
    const [mine, theirs] = [left[field], right[field]].map((value) => JSON.stringify(value))
    return mine === theirs ? [] : [`${file.path}: ${field} is ${mine}, the other's ${theirs}`]
  })
}

/** A directory that no entry describes has no time with us, and that of the unpacking elsewhere. */
function described(file: Surveyed): boolean {
  const seconds = Number(BigInt(file.mtimeNs) / 1_000_000_000n)
  return file.kind !== 'dir' || (seconds !== 0 && seconds < Date.now() / 1000 - 3600)
}

function comparable(file: Surveyed): Record<string, unknown> {
  const { kind, mode, uid, gid, xattrs, same, size, digest, link, device } = file
  // Layers are compared by whole seconds: umoci and Docker set no more.
  const mtime = `${BigInt(file.mtimeNs) / 1_000_000_000n}`
  const attributes = Object.entries(xattrs).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { kind, mode, uid, gid, mtime, attributes, same, size, digest, link, device }
}

/**
 * How what was unpacked differs from what the readers list: undefined if all list exactly our files. Where we refuse, they
 * must refuse or disagree too.
 */
export function compareListings(ours: Made, readers: ReadonlyMap<string, Listing>): string | undefined {
  const lists = [...readers].map(
    ([reader, listing]) => [reader, listing === null ? null : normalise(listing)] as const,
  )
  if (ours.files === undefined) {
    const texts = new Set(lists.map(([, list]) => (list === null ? 'refused' : JSON.stringify(list))))
    return texts.size > 1 || texts.has('refused') ? undefined : `all read it, and we refuse: ${ours.refusal}`
  }
  const mine = listingOf(ours.files)
  const wrong = lists.flatMap(([reader, list]) => {
    const implied = new Set(list?.map(({ path }) => path))
    const wanted = mine.filter((file) => file.kind !== 'dir' || implied.has(file.path))
    return JSON.stringify(list) === JSON.stringify(wanted)
      ? []
      : [`${reader}: ${JSON.stringify(list)}, ours: ${JSON.stringify(wanted)}`]
  })
  return wrong.length === 0 ? undefined : wrong.join('; ')
}

/** The files that a list makes: the last entry of a name counts; hard links are the file that they name. */
function normalise(listing: readonly Listed[]): readonly Listed[] {
  const files = new Map<string, Listed>()
  for (const entry of listing) {
    const path = clean(entry.path)
    if (path === '') continue
    const target = entry.kind === 'hard' ? files.get(clean(entry.link)) : undefined
    files.set(path, { ...(target ?? entry), path })
  }
  return [...files.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1)).map(order)
}

function listingOf(files: readonly Surveyed[]): readonly Listed[] {
  return files
    .filter(({ path }) => path !== '.')
    .map(({ path, kind, size = 0, mode, uid, gid, link = '' }) =>
      order({ path, kind, size, mode, uid, gid, link }),
    )
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** Members in one order, so that texts can be compared. */
function order({ path, kind, size, mode, uid, gid, link }: Listed): Listed {
  return { path, kind, size, mode, uid, gid, link }
}

function clean(path: string): string {
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}
