import { join } from 'node:path'
import { decodeRecord } from '@tsbuild/cache'
import { digestHex } from '@tsbuild/digest'
import { count, isRecord, parseJson } from '@tsbuild/shape'
import { definitionKey } from '@tsbuild/solver'
import { isSnapshotId, parseStoredLayer, type SnapshotId } from '@tsbuild/store'
import { isCommitted } from './check-snapshots.ts'
import { type Check, damage, foreign, notice } from './found.ts'
import { entriesOf, isStill, lookAt, sealedText } from './look.ts'
import { removeAt } from './mend.ts'
import type { Scan } from './scan.ts'

/** Records of any other format are not read by this version, and are not damaged. */
const format = 1

/** Every record can be read, and what it names is there and whole. To be called when the snapshots are known. */
export async function* checkRecords(scan: Scan): Check {
  const { records } = scan.layout
  for (const shard of entriesOf(records)) {
    const directory = join(records, shard.name)
    if (!/^[0-9a-f]{2}$/.test(shard.name) || !shard.isDirectory()) {
      yield foreign(directory)
      continue
    }
    scan.signal.throwIfAborted()
    for (const { name } of entriesOf(directory)) yield* checkRecord(scan, join(directory, name), shard.name)
  }
}

async function* checkRecord(scan: Scan, path: string, shard: string): Check {
  const hex = /([0-9a-f]{64})\.json$/.exec(path)?.[1]
  if (hex === undefined || !hex.startsWith(shard)) return yield foreign(path)
  const looked = lookAt(path)
  if (looked.is === 'missing') return
  scan.checked.records++
  const sealed = sealedText(looked, hex)
  const fault = 'problem' in sealed ? sealed.problem : textFault(scan, sealed, hex)
  const { stats } = looked
  if (fault === undefined || stats === undefined || !isStill(path, stats)) return
  const facts = { kind: 'record', path, loses: 'work', mend: removeAt(path, stats) } as const
  const repair = 'is removed; the step runs again'
  if (typeof fault === 'string') yield damage({ ...facts, problem: fault }, repair)
  // A power cut may keep a record and not its snapshot, and so may a prune that was killed.
  else yield notice({ ...facts, problem: `it names snapshot ${fault.missing}, which is missing` }, repair)
}

/** @returns what is wrong, or the snapshot that it names and that is not there */
function textFault(
  scan: Scan,
  { text, isSealed }: { readonly text: string; readonly isSealed: boolean },
  hex: string,
): string | { readonly missing: SnapshotId } | undefined {
  const value = parseJson(text)
  if (!isRecord(value) || !count(value.format)) return 'it is no record'
  if (value.format !== format) {
    scan.checked.foreignRecords++
    return undefined
  }
  // A conversion names a blob, which nothing is lost without: it is made again.
  if ('converted' in value && parseStoredLayer(value.layer) !== undefined) return undefined
  if ('outputKey' in value && isOfCache(decodeRecord(text)?.stored)) return undefined
  const snapshot = namedSnapshot(value, text)
  if (snapshot === undefined) return 'it is no whole record'
  if (!isSealed && hasOtherKey(text, hex)) return 'it is the record of another key'
  // A build may have made it since the snapshots were listed.
  const broken = mergedFrom(value).find((lower) => scan.snapshots.get(lower) === 'damaged')
  if (broken !== undefined) return `its snapshot shares files with ${broken}, which is damaged`
  const state = scan.snapshots.get(snapshot) ?? (isCommitted(scan.layout, snapshot) ? 'whole' : undefined)
  if (state === 'whole') return undefined
  return state === undefined ? { missing: snapshot } : `it names snapshot ${snapshot}, which is damaged`
}

/** A step's record names what the step stored, that of an unpacked layer its tree. */
function namedSnapshot(value: Record<string, unknown>, text: string): SnapshotId | undefined {
  const holder = 'outputKey' in value ? decodeRecord(text)?.stored : value
  if (!isRecord(holder)) return undefined
  const { snapshot } = holder
  return typeof snapshot === 'string' && isSnapshotId(snapshot) ? snapshot : undefined
}

/** A layer that a cache elsewhere has; of it nothing has to be here. */
function isOfCache(stored: unknown): boolean {
  const cached = isRecord(stored) ? stored.cached : undefined
  const blobs = isRecord(cached) ? cached.blobs : undefined
  return (
    Array.isArray(blobs) && blobs.length > 0 && blobs.every((blob) => parseStoredLayer(blob) !== undefined)
  )
}

/** A merge of several trees is made of hard links to their files. */
function mergedFrom({ lower }: Record<string, unknown>): readonly string[] {
  return Array.isArray(lower) ? lower.filter((id) => typeof id === 'string') : []
}

/**
 * Of a step's record from before there were seals: whether its definition key is another. Where an input counts by content,
 * the record does not say under which key of that input it was found, and so nothing can be said.
 */
function hasOtherKey(text: string, hex: string): boolean {
  const record = decodeRecord(text)
  if (record === undefined || record.inputs.some(({ kind }) => kind === 'content')) return false
  return digestHex(definitionKey(record.op, record.inputs)) !== hex
}
