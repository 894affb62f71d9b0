import { decodeRecord } from '@tsbuild/cache'
import { digestHex } from '@tsbuild/digest'
import { isRecord, listOf, objectOf, parseJson, text } from '@tsbuild/shape'
import type { CacheRecord, RecordedInput } from '@tsbuild/solver'
import { isSnapshotId, type StoreEntry } from '@tsbuild/store'
import type { BlobItems } from './blob-items.ts'
import type { ItemList } from './item-list.ts'
import { convertMs, fetchMs, lookedAtMs, lookedUpMs, rerunMs, unpackMs } from './value.ts'

/** What steps are made of. */
export interface StepParts {
  readonly records: readonly StoreEntry[]
  readonly snapshots: readonly StoreEntry[]
  readonly lists: readonly StoreEntry[]
  readonly blobs: BlobItems
  readonly now: number
}

/** See {@link addSteps}. */
export interface StepItems {
  /** The item of a snapshot. */
  readonly snapshots: ReadonlyMap<string, number>
  /** Deals with what nobody named. */
  finish(): void
}

/** Two days: a list is written before its record is, and whoever writes them may take his time. */
const youngListMs = 48 * 3_600_000

/** Ten minutes: a step is committed while the list of the store is made, its record behind what was listed by then. */
const youngSnapshotMs = 10 * 60_000

/**
 * Adds an item for each snapshot, with all records that name it: a step is found under two keys, and under more where others made the
 * same. A snapshot that records of unpacked layers name and steps do not is a `base`.
 */
export function addSteps(list: ItemList, parts: StepParts): StepItems {
  const snapshots = new Map<string, number>()
  const lists = new Map<string, number>()
  for (const entry of parts.lists) lists.set(entry.id, list.add(fileList(entry)))
  for (const entry of parts.snapshots) {
    const { id } = entry
    const index = list.add({ id, kind: 'base', description: `snapshot ${id.slice(0, 12)}`, entries: [entry] })
    snapshots.set(id, index)
    addLayerBlobs(list, index, entry, parts.blobs)
  }
  const steps: { readonly index: number; readonly record: CacheRecord }[] = []
  const recorded = new Map<string, number>()
  const merged: MergedTree[] = []
  for (const entry of parts.records) {
    const found = addRecord(list, entry, { snapshots, blobs: parts.blobs })
    if (found === undefined) continue
    const { index, record, lower } = found
    recorded.set(entry.id, index)
    if (record !== undefined) steps.push({ index, record })
    if (lower !== undefined) merged.push({ index, lower })
  }
  standUpon(list, steps)
  for (const tree of merged)
    standUponRun(list, tree, (name) => snapshots.get(name) ?? recorded.get(hexOf(name)))
  const read = nameFileLists(list, steps, lists)
  return {
    snapshots,
    finish() {
      const roots = rootsOf(list)
      const named = new Set(recorded.values())
      for (const { id, usedMs } of parts.snapshots) {
        const index = snapshots.get(id)
        if (index === undefined || named.has(index) || roots.has(index)) continue
        const isYoung = parts.now - usedMs < youngSnapshotMs
        list.at(index).standing = isYoung ? { as: 'cache' } : { as: 'garbage', code: 'no-record' }
        if (isYoung) list.at(index).rebuildMs = lookedAtMs
      }
      for (const { id, usedMs } of parts.lists) {
        const index = lists.get(id)
        if (index === undefined || read.has(index)) continue
        const isYoung = parts.now - usedMs < youngListMs
        list.at(index).standing = isYoung ? { as: 'cache' } : { as: 'garbage', code: 'no-reader' }
        list.at(index).rebuildMs = lookedAtMs
      }
    },
  }
}

function fileList(entry: StoreEntry) {
  const description = `list of files sha256:${entry.id.slice(0, 12)}`
  return {
    id: `files/${entry.id}`,
    kind: 'internal',
    description,
    standing: { as: 'part' },
    entries: [entry],
  } as const
}

/** What stands upon something else keeps it. */
function rootsOf(list: ItemList): ReadonlySet<number> {
  return new Set(list.items().flatMap(({ below }) => below))
}

const layer = objectOf({ blobs: listOf(objectOf({ digest: text })) })

/** The layer form of a snapshot goes with it, where no image has it. */
function addLayerBlobs(list: ItemList, index: number, entry: StoreEntry, blobs: BlobItems): void {
  const written = entry.text()
  const value = written === undefined ? undefined : parseJson(written)
  if (!isLayer(value)) return
  for (const { digest } of value.blobs) {
    const blob = blobs.need(digest.slice('sha256:'.length))
    if (blob !== undefined) list.at(index).parts.add(blob)
  }
}

interface LayerOfBlobs {
  readonly blobs: readonly { readonly digest: string }[]
}

function isLayer(value: unknown): value is LayerOfBlobs {
  return layer(value)
}

/** The item that a record belongs to. */
interface FoundRecord {
  readonly index: number
  /** Of a step. */
  readonly record?: CacheRecord
  /** Of a tree that several were merged into: their names. */
  readonly lower?: readonly string[]
}

interface MergedTree extends Required<Pick<FoundRecord, 'index' | 'lower'>> {}

const mergedTree = objectOf({ lower: listOf(text) })

/** @returns undefined where what the record names is not there */
function addRecord(
  list: ItemList,
  entry: StoreEntry,
  { snapshots, blobs }: { readonly snapshots: ReadonlyMap<string, number>; readonly blobs: BlobItems },
): FoundRecord | undefined {
  const written = entry.text()
  // Gone since the list was made.
  if (written === undefined) return undefined
  const record = decodeRecord(written)
  const garbage = (code: 'unreadable' | 'no-snapshot', description: string) => {
    const standing = { as: 'garbage', code } as const
    list.add({ id: entry.id, kind: 'regular', description, standing, entries: [entry] })
    return undefined
  }
  if (record !== undefined) {
    const cached = isRecord(record.stored) ? record.stored.cached : undefined
    if (isLayer(cached)) return { index: addFound(list, entry, record, { cached, blobs }), record }
    const index = snapshots.get(snapshotOf(record.stored) ?? '')
    if (index === undefined) return garbage('no-snapshot', record.name)
    addStep(list, index, entry, record)
    return { index, record }
  }
  const value = parseJson(written)
  if (!isRecord(value)) return garbage('unreadable', 'a record')
  if (isConversion(value)) {
    addConversion(list, entry, value, blobs)
    return undefined
  }
  const named = snapshotOf(value) ?? snapshotNamedIn(written, snapshots)
  const index = snapshots.get(named ?? '')
  if (index === undefined) return garbage('no-snapshot', 'an unpacked layer')
  addTree(list, index, entry, blobs)
  return isMerged(value) ? { index, lower: value.lower } : { index }
}

function isMerged(value: unknown): value is { readonly lower: readonly string[] } {
  return mergedTree(value)
}

const conversion = objectOf({ converted: text, layer: objectOf({ digest: text }) })

interface Conversion {
  readonly converted: string
  readonly layer: { readonly digest: string }
}

function isConversion(value: unknown): value is Conversion {
  return conversion(value)
}

/** A layer of an image in another compression. It is made again from the layer's blob, which has to be there for it or be fetched. */
function addConversion(
  list: ItemList,
  entry: StoreEntry,
  { converted, layer }: Conversion,
  blobs: BlobItems,
) {
  const [from, to] = [hexOf(converted), hexOf(layer.digest)]
  const fetching = blobs.bytes(from) === 0 ? fetchMs(blobs.bytes(to)) : 0
  const description = `layer ${from.slice(0, 12)} in another compression`
  const rebuildMs = convertMs(blobs.bytes(to)) + fetching
  const index = list.add({ id: entry.id, kind: 'base', description, entries: [entry], rebuildMs })
  const blob = blobs.need(to)
  if (blob === undefined) list.at(index).standing = { as: 'garbage', code: 'no-blob' }
  else list.at(index).parts.add(blob)
}

/** Of a digest; any other text as it is. */
function hexOf(name: string): string {
  return name.replace(/^sha256:/, '')
}

/** A merged tree stands for exactly the trees that it was made of, by their ids: without one of them nobody asks for it again. */
function standUponRun(
  list: ItemList,
  { index, lower }: MergedTree,
  itemOf: (name: string) => number | undefined,
): void {
  const draft = list.at(index)
  draft.description = `${lower.length} layers in one`
  for (const name of lower) {
    const below = itemOf(name)
    if (below === undefined) draft.standing = { as: 'garbage', code: 'no-lower' }
    else draft.below.add(below)
  }
}

function snapshotOf(stored: unknown): string | undefined {
  const snapshot = isRecord(stored) ? stored.snapshot : undefined
  return typeof snapshot === 'string' && isSnapshotId(snapshot) ? snapshot : undefined
}

/** A record of a later version may say it in another place; its snapshot is not to be taken for nobody's. */
function snapshotNamedIn(written: string, snapshots: ReadonlyMap<string, number>): string | undefined {
  return (written.match(/[0-9a-f]{32,}/g) ?? []).find((word) => snapshots.has(word))
}

function addStep(list: ItemList, index: number, entry: StoreEntry, record: CacheRecord): void {
  const draft = list.at(index)
  draft.entries.push(entry)
  draft.rebuildMs = draft.kind === 'regular' ? draft.rebuildMs : 0
  draft.rebuildMs = Math.max(draft.rebuildMs, rerunMs(record.durationMs))
  draft.kind = 'regular'
  draft.description = record.name
}

/** A step that a cache elsewhere has; of its layer nothing has to be here. */
function addFound(
  list: ItemList,
  entry: StoreEntry,
  { name, durationMs }: CacheRecord,
  { cached, blobs }: { readonly cached: LayerOfBlobs; readonly blobs: BlobItems },
): number {
  const here = cached.blobs.flatMap(({ digest }) => blobs.need(hexOf(digest)) ?? [])
  // Without a blob the record only saves the question.
  const rebuildMs = here.length === 0 ? lookedUpMs : rerunMs(durationMs)
  const index = list.add({ id: entry.id, kind: 'regular', description: name, entries: [entry], rebuildMs })
  for (const blob of here) list.at(index).parts.add(blob)
  return index
}

/** A tree that stands for layers of an image: it is unpacked again, from blobs that are there or are fetched. */
function addTree(list: ItemList, index: number, entry: StoreEntry, blobs: BlobItems): void {
  const draft = list.at(index)
  const bytes = draft.entries.find(({ kind }) => kind === 'snapshot')?.bytes ?? 0
  draft.entries.push(entry)
  if (draft.kind === 'regular') return
  const layers = [...draft.parts].flatMap((part) => list.at(part).entries.map(({ id }) => id))
  const image = layers.map(blobs.imageOf).find((name) => name !== undefined)
  const fetched = layers.filter((hex) => blobs.imageOf(hex) === undefined)
  const fetching = fetched.reduce((sum, hex) => sum + fetchMs(blobs.bytes(hex)), 0)
  draft.rebuildMs = unpackMs(bytes) + fetching
  const [first = draft.id] = layers
  draft.description = `unpacked layer ${first.slice(0, 12)}${image === undefined ? '' : ` of ${image}`}`
}

/**
 * A step is of no use without the steps that its layer lies upon. Where several made the same, any of them would do; the first that is
 * asked for is not known here, so all are kept.
 */
function standUpon(
  list: ItemList,
  steps: readonly { readonly index: number; readonly record: CacheRecord }[],
): void {
  const makers = new Map<string, Set<number>>()
  for (const { index, record } of steps) {
    const known = makers.get(record.outputKey)
    if (known === undefined) makers.set(record.outputKey, new Set([index]))
    else known.add(index)
  }
  for (const { index, record } of steps) {
    for (const input of record.inputs) {
      for (const maker of makers.get(baseKey(input) ?? '') ?? []) list.at(index).below.add(maker)
    }
  }
}

/** An input that counts by its key and of which no part is selected: a file system that a step changes. */
function baseKey(input: RecordedInput): string | undefined {
  return input.kind === 'result' && input.selector === undefined ? input.key : undefined
}

/** @returns the lists that have a reader */
function nameFileLists(
  list: ItemList,
  steps: readonly { readonly index: number; readonly record: CacheRecord }[],
  lists: ReadonlyMap<string, number>,
): ReadonlySet<number> {
  const read = new Set<number>()
  for (const { index, record } of steps) {
    for (const input of record.inputs) {
      const found = input.kind === 'content' ? lists.get(digestHex(input.digest)) : undefined
      if (found === undefined) continue
      read.add(found)
      list.at(index).parts.add(found)
    }
  }
  return read
}
