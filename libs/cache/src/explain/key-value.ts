import { canonical, type KeyValue } from '@tsbuild/digest'

/** Members of an object; none for anything else: records come from disk. */
export function membersOf(value: KeyValue): Readonly<Record<string, KeyValue>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, KeyValue>>)
    : {}
}

/** The entries of a list; none for anything else. */
export function listOf(value: KeyValue): readonly KeyValue[] {
  return Array.isArray(value) ? value : []
}

/** The entries of a list that are texts. */
export function textsOf(value: KeyValue): readonly string[] {
  return listOf(value).filter((entry) => typeof entry === 'string')
}

/** A text; undefined for anything else. */
export function textOf(value: KeyValue): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Whether two values count the same. */
export function same(a: KeyValue, b: KeyValue): boolean {
  return encoded(a) === encoded(b)
}

function encoded(value: KeyValue): string {
  return value === undefined ? '' : canonical(value)
}

/** A value as people would write it; null where there is none. */
export function shownValue(value: KeyValue): string | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map((entry) => shownValue(entry) ?? '').join(' ')
  return typeof value === 'object' ? canonical(value) : String(value)
}
