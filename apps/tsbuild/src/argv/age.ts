import { badValue } from './sizes.ts'

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
  w: 7 * 24 * 3_600_000,
}

/**
 * Parses an age: a time as docker's flags take it, and days and weeks: `720h`, `30d`, `1w12h`.
 *
 * @returns whole milliseconds
 * @throws {UserError} `ERR_USAGE` if it is none, or more than 2^53
 */
export function parseAge(flag: string, text: string): number {
  const parts = [...text.matchAll(/(\d{1,9}(?:\.\d{1,9})?)(ms|[smhdw])/g)]
  const isComplete = text !== '' && parts.map(([part]) => part).join('') === text
  const ms = Math.round(
    parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (unitMs[unit] ?? 0), 0),
  )
  if (!isComplete || !Number.isSafeInteger(ms))
    throw badValue(flag, text, 'an age such as `12h`, `30d` or `1w`')
  return ms
}
