import { UserError } from '@tsbuild/errors'

/** An argument parser for a flag that may be given more than once. What was there before, if no list, is a default. */
export function collect(value: string, previous: unknown): readonly string[] {
  return Array.isArray(previous) ? [...previous, value] : [value]
}

/** An argument parser for a flag that takes one of a few words. */
export function oneOf<Word extends string>(flag: string, words: readonly Word[]): (value: string) => Word {
  return (value) => {
    const word = words.find((candidate) => candidate === value)
    if (word !== undefined) return word
    const wanted = words.map((candidate) => JSON.stringify(candidate)).join(', ')
    throw new UserError('ERR_USAGE', `Cannot use value "${value}" of ${flag}: expected one of ${wanted}`)
  }
}

/**
 * Splits `NAME=value`; where there is no `=`, `fallback` gives the value, and undefined leaves the name out.
 *
 * @throws {UserError} `ERR_USAGE` if the name is empty
 */
export function keyValues(
  flag: string,
  pairs: readonly string[],
  fallback: (name: string) => string | undefined,
): Readonly<Record<string, string>> {
  const values = new Map<string, string>()
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    const name = equals < 0 ? pair : pair.slice(0, equals)
    if (name === '')
      throw new UserError('ERR_USAGE', `Cannot parse value "${pair}" of ${flag}: the name is empty`)
    const value = equals < 0 ? fallback(name) : pair.slice(equals + 1)
    if (value !== undefined) values.set(name, value)
  }
  return Object.fromEntries(values)
}
