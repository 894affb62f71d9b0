import { durationMs } from '@tsbuild/shape'
import { badValue } from './sizes.ts'

/**
 * Parses an age: a time as docker's flags take it, and days and weeks: `720h`, `30d`, `1w12h`.
 *
 * @returns whole milliseconds
 * @throws {UserError} `ERR_USAGE` if it is none, or more than 2^53
 */
export function parseAge(flag: string, text: string): number {
  const ms = durationMs(text)
  if (ms === undefined) throw badValue(flag, text, 'an age such as `12h`, `30d` or `1w`')
  return ms
}
