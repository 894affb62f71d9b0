import { type Digest, isDigest, type KeyValue } from '@tsbuild/digest'
import type { CacheRecord, RecordedInput } from '@tsbuild/solver'

/** The format of a record's text. Records of another number are not looked at. */
const format = 1

/** The text under which a record is stored: JSON, readable, complete. */
export function encodeRecord(record: CacheRecord): string {
  return `${JSON.stringify({ format, ...record }, undefined, 1)}\n`
}

/**
 * Reads a record back.
 *
 * @returns undefined for anything that is not a record of this format: a damaged record is a miss, never an error
 */
export function decodeRecord(text: string): CacheRecord | undefined {
  const value = parse(text)
  if (!isObject(value) || value.format !== format) return undefined
  const { outputKey, name, op, inputs, stored, createdAt, durationMs } = value
  if (typeof outputKey !== 'string' || !isDigest(outputKey) || typeof name !== 'string') return undefined
  if (!isMillis(createdAt) || !isMillis(durationMs) || !Array.isArray(inputs)) return undefined
  if (op === undefined || stored === undefined || !inputs.every(isInput)) return undefined
  const record = {
    outputKey,
    name,
    op: op as KeyValue,
    inputs,
    stored: stored as KeyValue,
    createdAt,
    durationMs,
  }
  return { ...record, ...explaining(value, inputs.length) }
}

/** What counts in no key: a record of before has none of it, and one whose names make no sense is a record all the same. */
function explaining({ inputNames, about }: Record<string, unknown>, inputs: number) {
  const isNames = Array.isArray(inputNames) && inputNames.every((name) => typeof name === 'string')
  return {
    ...(isNames && inputNames.length === inputs ? { inputNames } : {}),
    ...(about === undefined ? {} : { about: about as KeyValue }),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** JSON can hold a number that becomes infinite. */
function isMillis(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isInput(value: unknown): value is RecordedInput {
  if (!isObject(value)) return false
  const digest = (text: unknown): text is Digest => typeof text === 'string' && isDigest(text)
  switch (value.kind) {
    case 'result':
      return digest(value.key)
    case 'source':
      return value.key !== undefined
    case 'content':
      return digest(value.digest) && value.preimage !== undefined
    default:
      return false
  }
}
