import { durationMs } from '@tsbuild/shape'
import { badValue } from './sizes.ts'

/** Timers of Node cannot wait longer. */
const longestMs = 2 ** 31 - 1

/**
 * Parses a time as docker's flags take it: `30m`, `1h30m`, `1.5s`.
 *
 * @returns whole milliseconds, at least one
 * @throws {UserError} `ERR_USAGE` if it is none, or more than 24 days
 */
export function parseDuration(flag: string, text: string): number {
  const ms = durationMs(text, ['ms', 's', 'm', 'h'])
  if (ms === undefined || ms < 1 || ms > longestMs)
    throw badValue(flag, text, 'a time of at most 24 days, such as `30m`, `1h30m` or `45s`')
  return ms
}
