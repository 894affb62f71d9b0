import { isDigest } from '@tsbuild/digest'
import {
  count,
  isRecord,
  nothing,
  objectOf,
  oneOf,
  optional,
  parseJson,
  type Shape,
  text,
} from '@tsbuild/shape'
import { maxDigests, maxKeys, maxPutRecords } from './limits.ts'
import { readRecord } from './record.ts'
import { readScope } from './scope.ts'
import { base64UpTo, digest, listUpTo, mapUpTo, matching, textUpTo } from './shapes.ts'
import type {
  Capabilities,
  LookupReply,
  LookupRequest,
  MissingReply,
  MissingRequest,
  PutOutcome,
  PutRecordsReply,
  PutRecordsRequest,
  StepRecord,
} from './types.ts'

/*
 * The messages of /v1 as they come from the other side: JSON texts. Each function gives undefined for what is none of its kind.
 * Members that are not known are of a later version, and passed over.
 */

/** Reads `POST /v1/lookup`. */
export function parseLookup(written: string): LookupRequest | undefined {
  const value = parseJson(written)
  if (!objectOf({ keys: listUpTo(maxKeys, digest) })(value)) return undefined
  return { keys: (value as LookupRequest).keys }
}

/**
 * Reads the reply to a look-up or a plan. A record that cannot be read is none.
 *
 * @param asked how many keys or steps were sent
 */
export function parseLookupReply(written: string, asked: number): LookupReply | undefined {
  const value = parseJson(written)
  if (!isRecord(value) || !Array.isArray(value.records) || value.records.length !== asked) return undefined
  return { records: value.records.map((record) => readRecord(record) ?? null) }
}

/** Reads `POST /v1/missing`. */
export function parseMissing(written: string): MissingRequest | undefined {
  const value = parseJson(written)
  if (!isRecord(value) || !listUpTo(maxDigests, digest)(value.digests)) return undefined
  const scope = readScope(value.scope)
  return scope && { scope, digests: (value as unknown as MissingRequest).digests }
}

/** Reads its reply. @param asked how many digests were sent */
export function parseMissingReply(written: string, asked: number): MissingReply | undefined {
  const value = parseJson(written)
  const place: Shape = (each) => count(each) && Number(each) < asked
  if (!objectOf({ missing: listUpTo(asked, place) })(value)) return undefined
  return { missing: (value as MissingReply).missing }
}

/** Reads `POST /v1/records`. */
export function parsePutRecords(written: string): PutRecordsRequest | undefined {
  const value = parseJson(written)
  if (!isRecord(value) || !Array.isArray(value.records) || value.records.length > maxPutRecords)
    return undefined
  const records = value.records.map(readRecord)
  return records.every((record) => record !== undefined) ? { records } : undefined
}

/** Reads its reply. @param asked how many records were sent */
export function parsePutRecordsReply(written: string, asked: number): PutRecordsReply | undefined {
  const value = parseJson(written)
  if (!isRecord(value) || !Array.isArray(value.outcomes) || value.outcomes.length !== asked) return undefined
  const outcomes = value.outcomes.map(readOutcome)
  return outcomes.every((outcome) => outcome !== undefined) ? { outcomes } : undefined
}

/** Reads what became of one record: the reply to `PUT /v1/records/{scope}/{key}` too. */
export function parsePutOutcome(written: string): PutOutcome | undefined {
  return readOutcome(parseJson(written))
}

function readOutcome(value: unknown): PutOutcome | undefined {
  if (!isRecord(value)) return undefined
  const { outcome } = value
  switch (outcome) {
    case 'stored':
    case 'same':
      return { outcome }
    case 'different': {
      const record: StepRecord | undefined = readRecord(value.record)
      return record && { outcome, record }
    }
    case 'forbidden':
    case 'full':
    case 'invalid':
      return typeof value.reason === 'string' ? { outcome, reason: value.reason.slice(0, 1000) } : undefined
    case 'missing':
      if (!listUpTo(maxDigests, digest)(value.digests)) return undefined
      return { outcome, digests: (value.digests as string[]).filter(isDigest) }
    default:
      return undefined
  }
}

const repository = matching(/^[a-z0-9]+([._/-]+[a-z0-9]+)*$/)

const capabilitiesShape = objectOf({
  protocol: oneOf(1),
  subject: textUpTo(512),
  keys: listUpTo(64, objectOf({ id: textUpTo(128), publicKey: base64UpTo(256) })),
  read: listUpTo(64, text),
  repositories: mapUpTo(128, textUpTo(512), repository),
  maxBlobBytes: count,
  features: optional(listUpTo(256, textUpTo(64))),
})

/**
 * Reads `GET /v1/capabilities`. A scope that cannot be read is of a later version, and not asked.
 *
 * @returns undefined too for another number of the protocol
 */
export function parseCapabilities(written: string): Capabilities | undefined {
  const value = parseJson(written)
  if (!isRecord(value) || !capabilitiesShape(value)) return undefined
  const { protocol, subject, keys, read, repositories, maxBlobBytes, features } =
    value as unknown as Capabilities
  const write = nothing(value.write) ? null : readScope(value.write)
  if (write === undefined) return undefined
  return {
    protocol,
    subject,
    keys: keys.map(({ id, publicKey }) => ({ id, publicKey })),
    read: read.map(readScope).filter((scope) => scope !== undefined),
    write,
    repositories,
    maxBlobBytes,
    features: features ?? [],
  }
}
