import { UserError } from '@tsbuild/errors'

const units = ['', 'k', 'm', 'g', 't', 'p']

/**
 * Parses a size as docker's flags take it: `512m`, `1.5GiB`, `64 kb`, `1024`. Every unit is a power of 1024.
 *
 * @returns bytes, whole and not negative
 * @throws {UserError} `ERR_USAGE` if it is no size, or one beyond 2^53
 */
export function parseSize(flag: string, text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?(?:([kmgtp])?i?b?)$/i.exec(text) ?? []
  const bytes = Math.floor(Number(number) * 1024 ** units.indexOf(unit.toLowerCase()))
  if (!Number.isSafeInteger(bytes)) throw badValue(flag, text, 'a size such as `512m` or `2g`')
  return bytes
}

/**
 * Parses a whole number in decimal digits, with a sign where `least` is negative.
 *
 * @throws {UserError} `ERR_USAGE` if it is none, or not from `least` to `most`
 */
export function parseWhole(flag: string, text: string, [least, most]: readonly [number, number]): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  const top = most === Number.MAX_SAFE_INTEGER ? ' on' : ` to ${most}`
  throw badValue(flag, text, `a whole number from ${least}${top}`)
}

/** The error for a flag's value that is not what the flag takes. */
export function badValue(flag: string, text: string, wanted: string): UserError {
  return new UserError('ERR_USAGE', `Cannot use value "${text}" of ${flag}: expected ${wanted}`)
}
