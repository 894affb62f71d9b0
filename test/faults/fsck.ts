import { createHash } from 'node:crypto'
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'

/** What {@link fsck} may take for granted. */
export interface FsckOptions {
  /** Nobody has the store open, and it was opened and closed after whoever died: nothing half done may be left. */
  readonly swept: boolean
  /** No step of this store makes an empty file: one in a committed tree is a lost one. */
  readonly noEmptyFiles?: boolean
  /** The machine lost its power: what nothing makes durable, the lists that explain a miss, may be cut off. It counts as missing then. */
  readonly powerCut?: boolean
}

/** What is wrong with a store. */
export interface Findings {
  /** What has a final name and is not what it says. */
  readonly corrupt: readonly string[]
  /**
   * Records whose snapshot is not there. A prune takes the snapshot first, as that tells whether somebody uses it, so one that
   * died may leave such; they count as misses, and the next prune takes them.
   */
  readonly dangling: readonly string[]
  /** What nobody has a name for, or nobody will finish. */
  readonly leaked: readonly string[]
}

/**
 * Checks a store with nothing of the product's own: what docs/dev/store.md says of each kind of file, and every byte of every
 * blob. A file that has its final name must be whole, whenever its writer died.
 */
export function fsck(root: string, options: FsckOptions): Findings {
  const v1 = join(root, 'v1')
  const committed = listCommitted(join(v1, 'snapshots'))
  const records = checkRecords(join(v1, 'records'), committed)
  const corrupt = [
    ...checkVersion(root),
    ...list(join(v1, 'blobs', 'sha256')).flatMap((name) =>
      checkBlob(join(v1, 'blobs', 'sha256', name), name),
    ),
    ...[...committed].flatMap((id) => checkSnapshot(v1, id)),
    ...records.corrupt,
    ...(options.powerCut ? [] : checkFileLists(join(v1, 'files'))),
    ...checkSources(join(v1, 'sources')),
    ...checkImages(v1),
    ...list(join(v1, 'failures')).flatMap((ref) => checkJson(join(v1, 'failures', ref, 'failure.json'))),
    ...list(join(v1, 'quarantine')).map((name) => `quarantine has ${name}`),
    ...checkMounts(join(v1, 'mounts')),
    ...(options.noEmptyFiles
      ? [...committed].flatMap((id) => emptyFiles(join(v1, 'snapshots', id, 'fs')))
      : []),
  ]
  return { corrupt, dangling: records.dangling, leaked: options.swept ? findLeaked(v1, committed) : [] }
}

function findLeaked(v1: string, committed: ReadonlySet<string>): readonly string[] {
  const trees = join(v1, 'sources', 'trees')
  return [
    ...list(join(v1, 'ingest')).map((name) => `ingest/${name}: ${list(join(v1, 'ingest', name)).join(' ')}`),
    ...list(join(v1, 'snapshots'))
      .filter((id) => !committed.has(id))
      .map((id) => `snapshots/${id} is a draft`),
    ...list(trees)
      .filter((id) => !isThere(join(trees, id, 'source.json')))
      .map((id) => `sources/trees/${id} is a draft`),
  ]
}

function checkVersion(root: string): readonly string[] {
  const text = read(join(root, 'version'))
  return text === undefined || /^\d+\n?$/.test(text) ? [] : [`version is ${JSON.stringify(text)}`]
}

function checkBlob(path: string, hex: string): readonly string[] {
  const stat = lstatSync(path)
  if (!stat.isFile() || !/^[0-9a-f]{64}$/.test(hex)) return [`blob ${hex} is no blob`]
  if ((stat.mode & 0o7777) !== 0o444) return [`blob ${hex} has mode ${(stat.mode & 0o7777).toString(8)}`]
  return hashOf(path) === hex ? [] : [`blob ${hex} has other bytes (${stat.size})`]
}

/** The marker is whole, its tree is there, and every blob that its layer form names is there with that size. */
function checkSnapshot(v1: string, id: string): readonly string[] {
  const folder = join(v1, 'snapshots', id)
  const layerPath = join(folder, 'layer.json')
  const layer = isThere(layerPath) ? parse(layerPath) : {}
  const blobs = (layer as { blobs?: readonly Descriptor[] } | undefined)?.blobs ?? []
  return [
    ...checkJson(join(folder, 'snapshot.json')),
    ...(isThere(join(folder, 'fs')) ? [] : [`snapshot ${id} has no tree`]),
    ...(layer === undefined ? [`snapshot ${id} has a broken layer.json`] : []),
    ...blobs.flatMap((blob) => checkDescriptor(v1, blob, `snapshot ${id}`)),
  ]
}

interface Descriptor {
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

function checkDescriptor(v1: string, { digest, size }: Descriptor, whose: string): readonly string[] {
  const stat = lstatSync(join(v1, 'blobs', 'sha256', digest.replace('sha256:', '')), {
    throwIfNoEntry: false,
  })
  if (stat?.size === size) return []
  return [`${whose} names ${digest} of ${size} bytes, there are ${stat?.size ?? 'none'}`]
}

/** What the records of one snapshot are. */
interface StepRecord {
  readonly op?: unknown
  readonly inputs?: readonly RecordedInput[]
  readonly stored?: { readonly snapshot?: string }
  readonly snapshot?: string
  readonly outputKey?: string
}

interface RecordedInput {
  readonly kind: string
  readonly key?: unknown
  readonly selector?: unknown
  readonly digest?: string
}

/**
 * Every record is whole, and names a committed snapshot. Of the records of one result, which are links to it from the other
 * ways to ask for it, one at least has the key that its own content gives.
 */
function checkRecords(folder: string, committed: ReadonlySet<string>): Omit<Findings, 'leaked'> {
  const fits = new Map<string, boolean>()
  const wrong: string[] = []
  const dangling: string[] = []
  for (const shard of list(folder)) {
    for (const name of list(join(folder, shard))) {
      const record = parse(join(folder, shard, name)) as StepRecord | undefined
      const hex = name.replace(/\.json$/, '')
      const snapshot = record?.stored?.snapshot ?? record?.snapshot
      if (record === undefined || !/^[0-9a-f]{64}$/.test(hex) || shard !== hex.slice(0, 2))
        wrong.push(`record ${name} is broken`)
      else if (snapshot !== undefined && !committed.has(snapshot))
        dangling.push(`record ${name} names ${snapshot}, which is not committed`)
      else if (record.op !== undefined && record.outputKey !== undefined)
        fits.set(record.outputKey, (fits.get(record.outputKey) ?? false) || keysOf(record).includes(hex))
    }
  }
  const strange = [...fits].filter(([, fit]) => !fit)
  return {
    corrupt: [...wrong, ...strange.map(([key]) => `no record of ${key} has the key of its content`)],
    dangling,
  }
}

/** The keys that a record's own content gives. @see docs/dev/cache-keys.md */
function keysOf({ op, inputs = [] }: StepRecord): readonly string[] {
  const encoded = inputs.map(({ kind, key, selector, digest }) =>
    kind === 'content'
      ? { content: digest }
      : kind === 'source'
        ? { source: key, selector }
        : { key, selector },
  )
  const text = canonical({ op, inputs: encoded })
  return ['tsbuild.definition.v1', 'tsbuild.content.v1'].map((domain) =>
    createHash('sha256').update(`${domain}\n${text}`).digest('hex'),
  )
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return `{${members
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`)
    .join()}}`
}

/** A damaged list only counts as missing; one that a process made and nobody damaged is whole. */
function checkFileLists(folder: string): readonly string[] {
  return list(folder)
    .filter((hex) => hashOf(join(folder, hex)) !== hex)
    .map((hex) => `file list ${hex} has other bytes`)
}

function checkSources(folder: string): readonly string[] {
  const names = list(join(folder, 'names')).flatMap((name) => {
    const entry = parse(join(folder, 'names', name)) as { tree?: string } | undefined
    if (entry?.tree === undefined) return [`source name ${name} is broken`]
    return isThere(join(folder, 'trees', entry.tree, 'source.json'))
      ? []
      : [`source name ${name} has no tree`]
  })
  const trees = list(join(folder, 'trees')).map((id) => join(folder, 'trees', id, 'source.json'))
  return [...names, ...trees.filter(isThere).flatMap(checkJson)]
}

/** Every name of the image list leads to an image that is there to its last blob. */
function checkImages(v1: string): readonly string[] {
  const path = join(v1, 'index.json')
  if (!isThere(path)) return []
  const index = parse(path) as { manifests?: readonly Descriptor[] } | undefined
  if (index?.manifests === undefined) return ['index.json is broken']
  return index.manifests.flatMap((manifest) => {
    const whose = manifest.annotations?.['io.containerd.image.name'] ?? manifest.digest
    const wrong = checkDescriptor(v1, manifest, whose)
    if (wrong.length > 0) return wrong
    const { config, layers = [] } = parse(join(v1, 'blobs', 'sha256', manifest.digest.slice(7))) as {
      config: Descriptor
      layers?: readonly Descriptor[]
    }
    return [config, ...layers].flatMap((blob) => checkDescriptor(v1, blob, whose))
  })
}

function checkMounts(folder: string): readonly string[] {
  return list(folder).flatMap((name) =>
    list(join(folder, name)).flatMap((number) => checkJson(join(folder, name, number, 'meta.json'))),
  )
}

function checkJson(path: string): readonly string[] {
  return parse(path) === undefined ? [`${path} is broken or missing`] : []
}

function listCommitted(folder: string): ReadonlySet<string> {
  return new Set(list(folder).filter((id) => isThere(join(folder, id, 'snapshot.json'))))
}

function emptyFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => lstatSync(path).size === 0)
    .map((path) => `${path} is empty`)
}

function parse(path: string): unknown {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function read(path: string): string | undefined {
  return isThere(path) ? readFileSync(path, 'utf8') : undefined
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** What is in a directory; nothing where it is not there, as some are made when they are first needed. */
function list(folder: string): readonly string[] {
  return isThere(folder) ? readdirSync(folder) : []
}

/** In pieces: a blob may be larger than what should be in memory. */
function hashOf(path: string): string {
  const hash = createHash('sha256')
  const piece = Buffer.alloc(1024 * 1024)
  const fd = openSync(path, 'r')
  try {
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece))
      hash.update(piece.subarray(0, length))
  } finally {
    closeSync(fd)
  }
  return hash.digest('hex')
}
