import { badValue } from './sizes.ts'

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Timers of Node cannot wait longer. */
const longestMs = 2 ** 31 - 1

/**
 * Parses a time as docker's flags take it: `30m`, `1h30m`, `1.5s`.
 *
 * @returns whole milliseconds, at least one
 * @throws {UserError} `ERR_USAGE` if it is none, or more than 24 days
 */
export function parseDuration(flag: string, text: string): number {
  const parts = [...text.matchAll(/(\d{1,9}(?:\.\d{1,9})?)(ms|[smh])/g)]
  const isComplete = parts.map(([part]) => part).join('') === text
  const sum = parts.reduce((ms, [, number, unit = '']) => ms + Number(number) * (unitMs[unit] ?? 0), 0)
  const ms = Math.round(sum)
  if (!isComplete || ms < 1 || ms > longestMs)
    throw badValue(flag, text, 'a time of at most 24 days, such as `30m`, `1h30m` or `45s`')
  return ms
}
