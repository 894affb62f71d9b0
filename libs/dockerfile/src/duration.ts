const UNITS: ReadonlyMap<string, number> = new Map([
  ['ns', 1],
  ['us', 1e3],
  ['\u00b5s', 1e3],
  ['\u03bcs', 1e3],
  ['ms', 1e6],
  ['s', 1e9],
  ['m', 60e9],
  ['h', 3600e9],
])

/** The largest duration Go can hold, in nanoseconds. */
const MAX_NS = 2 ** 63

/**
 * Reads a duration as Go writes it: a sign, then numbers each with a unit (`1m30s`, `1.5h`, `500ms`), or a bare `0`.
 * Gives nanoseconds, rounded down, or a text that says what is wrong. Exact up to 2^53 ns (104 days).
 *
 * @see spec/dockerfile.md 1.2 (HEALTHCHECK)
 */
export function parseDuration(text: string): number | string {
  const negative = text.startsWith('-')
  const body = negative || text.startsWith('+') ? text.slice(1) : text
  if (body === '0') return 0
  const invalid = `invalid duration ${JSON.stringify(text)}`
  let total = 0
  let rest = body
  while (rest !== '' || body === '') {
    const number = /^(?:\d+(?:\.\d*)?|\.\d+)/.exec(rest)?.[0]
    if (number === undefined) return invalid
    const unitName = /^[^\d.]*/.exec(rest.slice(number.length))?.[0] ?? ''
    if (unitName === '') return `missing unit in duration ${JSON.stringify(text)}`
    const unit = UNITS.get(unitName)
    if (unit === undefined)
      return `unknown unit ${JSON.stringify(unitName)} in duration ${JSON.stringify(text)}`
    const [whole = '', fraction = ''] = number.split('.')
    total += Number(whole) * unit + Math.floor(Number(`0.${fraction}`) * unit)
    if (total >= MAX_NS) return invalid
    rest = rest.slice(number.length + unitName.length)
  }
  return negative ? -total : total
}
