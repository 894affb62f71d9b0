import { badValue, parseAge, parseDuration, parseSize, parseWhole } from '@tsbuild/command-line'
import { parseUrl } from '@tsbuild/shape'
import { type Address, parseAddress } from './address.ts'

/** How the value of a setting is written, on the command line, in the environment and in the configuration file alike. */
export interface Form<T> {
  /** `<size>`; empty for a flag without a value. */
  readonly placeholder: string
  /** Whether it may be given more than once; a list in the file, separated by commas in the environment. */
  readonly isList: boolean
  /** Whether it names a file, relative to where it is said. */
  readonly isPath?: true
  /**
   * @param name what the value was given to: a flag, a variable, a key
   * @throws {UserError} `ERR_USAGE` for what makes no sense
   */
  readonly parse: (name: string, value: string) => T
}

/** How much of a file system something may take. */
export type Space = 'unlimited' | { readonly bytes: number } | { readonly percent: number }

const form = <T>(placeholder: string, parse: Form<T>['parse']): Form<T> => ({
  placeholder,
  isList: false,
  parse,
})

/** Any text but an empty one. */
export const text: Form<string> = form('<text>', (name, value) => {
  if (value.trim() === '') throw badValue(name, value, 'a text')
  return value
})

/** A path; relative ones are relative to the working directory, or to the folder of the configuration file. */
export const path: Form<string> = {
  ...form('<path>', (name, value) => {
    if (value === '' || value.includes('\0')) throw badValue(name, value, 'a path')
    return value
  }),
  isPath: true,
}

/** Yes or no. */
export const yes: Form<boolean> = form('', (name, value) => {
  if (value === 'true' || value === '1') return true
  if (value === 'false' || value === '0') return false
  throw badValue(name, value, '`true` or `false`')
})

/** In bytes. */
export const size: Form<number> = form('<size>', parseSize)

/** In milliseconds, and of a length that timers can wait. */
export const duration: Form<number> = form('<time>', parseDuration)

/** In milliseconds, of any length. */
export const age: Form<number> = form('<age>', parseAge)

/** A size, a share of the file system, or no limit. */
export const space: Form<Space> = form('<space>', (name, value) => {
  if (value === 'unlimited') return 'unlimited'
  const [, share] = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(value) ?? []
  if (share !== undefined && Number(share) <= 100) return { percent: Number(share) }
  if (!/^\d/.test(value) || value.includes('%'))
    throw badValue(name, value, 'a size such as `100g`, a share such as `80%`, or `unlimited`')
  return { bytes: parseSize(name, value) }
})

/** A whole number. */
export const whole = (least: number, most: number = Number.MAX_SAFE_INTEGER): Form<number> =>
  form('<number>', (name, value) => parseWhole(name, value, [least, most]))

/** One of a few words. */
export const word = <Word extends string>(...words: readonly Word[]): Form<Word> =>
  form(`<${words.join('|')}>`, (name, value) => {
    const found = words.find((each) => each === value)
    if (found !== undefined) return found
    throw badValue(name, value, `one of ${words.map((each) => JSON.stringify(each)).join(', ')}`)
  })

/** Where to listen. */
export const address: Form<Address> = form('<address>', parseAddress)

/** An http or https URL without credentials, query or fragment; comes back without a slash at its end. */
export const httpUrl: Form<string> = form('<url>', (name, value) => {
  const url = parseUrl(value)
  const isPlain =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === ''
  if (!isPlain) throw badValue(name, value, 'an http or https URL without credentials and query')
  return url.href.replace(/\/+$/, '')
})

/** A path of a URL below which everything is served: `/cache`; empty for none. */
export const urlPath: Form<string> = form('<path>', (name, value) => {
  const trimmed = value.replace(/\/+$/, '')
  if (trimmed === '' || /^(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/.test(trimmed)) return trimmed
  throw badValue(name, value, 'a path such as `/cache`')
})

/** Any number of values of a form. */
export const list = <T>(of: Form<T>): Form<readonly T[]> => ({
  placeholder: of.placeholder,
  isList: true,
  parse: (name, value) =>
    value
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
      .map((one) => of.parse(name, one)),
})
