import { type Digest, digestBytes } from './digest.ts'

/** What a key may be made of. Object members that are undefined do not count. */
export type KeyValue =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly KeyValue[]
  | { readonly [name: string]: KeyValue }

/**
 * The one text form of a value that goes into a key: JSON without blanks, object members sorted by UTF-16 code units,
 * undefined members left out. Two values have the same text exactly when they are equal.
 *
 * @throws {TypeError} for a number that is not a safe integer, and for undefined inside of an array
 * @see docs/dev/cache-keys.md
 */
export function canonical(value: KeyValue): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`a key cannot hold the number ${value}`)
    return String(value)
  }
  if (value === undefined) throw new TypeError('a key cannot hold undefined')
  if (isList(value)) return `[${value.map(canonical).join(',')}]`
  // Of a key for each of thousands of steps: nothing is made here but the text.
  let text = ''
  for (const name of Object.keys(value).sort()) {
    const member = value[name]
    if (member !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonical(member)}`
  }
  return `{${text}}`
}

/** The digest of a value's {@link canonical} form, kept apart from other kinds of key by `domain`. */
export function digestKey(domain: string, value: KeyValue): Digest {
  return digestBytes(`${domain}\n${canonical(value)}`)
}

function isList(
  value: readonly KeyValue[] | { readonly [name: string]: KeyValue },
): value is readonly KeyValue[] {
  return Array.isArray(value)
}
