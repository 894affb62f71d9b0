/** What Go writes for a time that is not set. */
const unset = '0001-01-01T00:00:00Z'

/** A time as Go writes it, in Unix ms; undefined for one that is not set or is none. */
export function fromGoTime(text: unknown): number | undefined {
  if (typeof text !== 'string' || text === unset) return undefined
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}

/** As Go writes it: without zeros at the end of a fraction. */
export function toGoTime(ms: number | undefined): string {
  return ms === undefined ? unset : new Date(ms).toISOString().replace(/\.?0*Z$/, 'Z')
}
