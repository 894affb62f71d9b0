import { UserError } from '@tsbuild/errors'
import { splitCsv } from '../argv/csv.ts'

const methods = ['build', 'check', 'outline', 'targets', 'subrequests.describe'] as const
const formats = ['text', 'json'] as const

/** What `--call` asks for. */
export interface CallMethod {
  readonly name: (typeof methods)[number]
  readonly format: (typeof formats)[number]
}

/**
 * Parses the value of `--call`: `check`, `lint` (the same), `outline`, `targets`, `subrequests.describe` or `build`, with
 * `format=text` or `format=json` behind a comma.
 *
 * @throws {UserError} `ERR_USAGE`
 * @see spec/dockerfile.md 1.9
 */
export function parseCallMethod(value: string): CallMethod {
  const [first = '', ...fields] = splitCsv(value)
  const word = first.replace(/^frontend\./, '')
  const name = methods.find((method) => method === (word === 'lint' ? 'check' : word))
  if (name === undefined) throw unexpected(value, `the method is one of ${quoted(methods)}`)
  let format: CallMethod['format'] = 'text'
  for (const field of fields) {
    const found = formats.find((candidate) => field === `format=${candidate}`)
    if (found === undefined) throw unexpected(value, `after the method comes ${quoted(formats, 'format=')}`)
    format = found
  }
  return { name, format }
}

function unexpected(value: string, rule: string): UserError {
  return new UserError('ERR_USAGE', `Cannot use value "${value}" of --call: ${rule}`)
}

function quoted(words: readonly string[], prefix = ''): string {
  return words.map((word) => JSON.stringify(`${prefix}${word}`)).join(', ')
}

/**
 * What the flags ask for instead of a build; undefined for a build.
 *
 * @throws {UserError} `ERR_USAGE` if `--check` and `--call` say different things
 */
export function callMethod(flags: {
  readonly check?: true
  readonly call?: CallMethod
}): CallMethod | undefined {
  const { check, call } = flags
  if (check === true && call !== undefined && call.name !== 'check') {
    throw new UserError('ERR_USAGE', `Cannot use --check with --call=${call.name}: expected one of them`)
  }
  if (check === true) return call ?? { name: 'check', format: 'text' }
  return call?.name === 'build' ? undefined : call
}
