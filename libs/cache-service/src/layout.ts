import { createHash } from 'node:crypto'
import { decodePayload, parseRecord, type StepPayload, type StepRecord } from '@tsbuild/cache-protocol'
import { type Digest, digestHex } from '@tsbuild/digest'
import type { ObjectKey } from '@tsbuild/object-store'
import type { Scope } from '@tsbuild/trust'

/*
 * The objects of the service. The number in each path is the version of the format below it; what this version does not know, it
 * leaves alone.
 *
 *   records/v1/<scope>/<2 hex>/<64 hex>   a record, as it is sent. <scope>: 32 hex digits of the scope's SHA-256; the record says which
 *   record-log/v1/<16 digits>             what was added and removed, in order, without a gap: see record-log.ts
 *   record-index/v1/<16 digits>           the whole index, up to that entry of the log
 *   record-uses/v1/<13 digits>-<hex>      which records were used, noted now and then: see uses.ts
 *
 * Records are what counts. Everything else can be made again of them, except for uses, of which only the order of eviction hangs.
 */

/** Below it is a record each. */
export const recordPrefix = 'records/v1/'
/** See `record-log.ts`. */
export const logPrefix = 'record-log/v1/'
/** See `record-index.ts`. */
export const indexPrefix = 'record-index/v1/'
/** See `uses.ts`. */
export const usesPrefix = 'record-uses/v1/'

/** Names one record. */
export interface RecordName {
  readonly scope: Scope
  readonly key: Digest
}

/** Where a record is. Two scopes never share a name, however they are written. */
export function recordObject({ scope, key }: RecordName): ObjectKey {
  const hex = digestHex(key)
  return `${recordPrefix}${scopeFolder(scope)}/${hex.slice(0, 2)}/${hex}`
}

/** The folder of a scope's records, below {@link recordPrefix}. */
export function scopeFolder(scope: Scope): string {
  return createHash('sha256').update(scope).digest('hex').slice(0, 32)
}

/** The name of an object whose place in an order is a number. */
export function numbered(prefix: string, number: number): ObjectKey {
  return `${prefix}${String(number).padStart(16, '0')}`
}

/** The number of a {@link numbered} object; undefined for what is none. */
export function numberOf(prefix: string, key: ObjectKey): number | undefined {
  const digits = key.slice(prefix.length)
  return key.startsWith(prefix) && /^\d{16}$/.test(digits) ? Number(digits) : undefined
}

/** A record that was read back. */
export interface StoredRecord {
  readonly record: StepRecord
  readonly payload: StepPayload
  /** The blobs of its layers; they are in the repository of its scope. */
  readonly blobs: readonly Digest[]
}

/**
 * Reads the bytes of a record's object. Signatures are not looked at.
 *
 * @returns undefined for what is no record of this version, or lies where another one belongs
 */
export function readStoredRecord(object: ObjectKey, bytes: Uint8Array): StoredRecord | undefined {
  const record = parseRecord(Buffer.from(bytes).toString('utf8'))
  const payload = record && decodePayload(record.envelope)
  if (record === undefined || payload === undefined || recordObject(payload) !== object) return undefined
  return { record, payload, blobs: blobsOf(payload) }
}

/** The blobs that a record stands for, each once. */
export function blobsOf({ result }: StepPayload): readonly Digest[] {
  return [...new Set(result.layer.map(({ digest }) => digest))]
}
