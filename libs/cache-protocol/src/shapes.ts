import { isDigest } from '@tsbuild/digest'
import { isRecord, type Shape, text } from '@tsbuild/shape'

/** A text of at most so many UTF-16 code units. */
export const textUpTo =
  (length: number): Shape =>
  (value) =>
    typeof value === 'string' && value.length <= length

/** A text of a form. */
export const matching =
  (form: RegExp): Shape =>
  (value) =>
    typeof value === 'string' && form.test(value)

/** A SHA-256 digest. */
export const digest: Shape = (value) => typeof value === 'string' && isDigest(value)

/** A list of so many entries of a form. */
export const listUpTo =
  (most: number, shape: Shape, least = 0): Shape =>
  (value) =>
    Array.isArray(value) && value.length >= least && value.length <= most && value.every(shape)

/** An object that is used as a map. */
export const mapUpTo =
  (most: number, key: Shape, shape: Shape): Shape =>
  (value) => {
    if (!isRecord(value)) return false
    const entries = Object.entries(value)
    return entries.length <= most && entries.every(([name, entry]) => key(name) && shape(entry))
  }

/** What a key can be made of, as JSON holds it, no deeper than the stack takes. */
export const keyValue: Shape = (value) => isKeyValue(value, maxDepth)

/** Base64 as RFC 4648 section 4 has it, of at most so many characters. */
export const base64UpTo = (length: number): Shape => {
  const form = /^[A-Za-z0-9+/]*={0,2}$/
  return (value) =>
    typeof value === 'string' && value.length <= length && value.length % 4 === 0 && form.test(value)
}

/** Ops are some five deep. */
const maxDepth = 64

function isKeyValue(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'boolean' || text(value)) return true
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (depth === 0 || typeof value !== 'object') return false
  return Object.values(value).every((member) => isKeyValue(member, depth - 1))
}
