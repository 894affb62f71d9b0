import { describe } from '../description.ts'
import { readFlags } from '../flag-values.ts'
import type { ArgInstruction, EnvInstruction, KeyValue, LabelInstruction } from '../instruction.ts'
import { type Request, refuse } from '../request.ts'
import { splitWords } from '../words.ts'

/**
 * Parses `ARG`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` without a name or with an empty one, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseArg(request: Request): ArgInstruction {
  readFlags(request)
  const words = splitWords(request.rest, request.escape)
  if (words.length === 0) refuse(request, 'ARG requires at least one argument')
  const args = words.map((word, argument) => {
    const equals = word.indexOf('=')
    if (equals === 0) refuse(request, 'ARG names can not be blank', { at: { argument } })
    const name = equals === -1 ? word : word.slice(0, equals)
    const value = equals === -1 ? null : word.slice(equals + 1)
    return { name, value, description: describe(request.base.comments, name) }
  })
  return { ...request.base, kind: 'arg', args }
}

/** `KEY rest of line`: the rest is the value as it stands. */
function parseLegacyPair(request: Request): KeyValue {
  const { rest } = request
  const blanks = /[\t\v\f\r ]+/.exec(rest)
  if (blanks === null) refuse(request, `${request.base.keyword.toUpperCase()} must have two arguments`)
  return { key: rest.slice(0, blanks.index), value: rest.slice(blanks.index + blanks[0].length) }
}

function parsePair(request: Request, word: string, argument: number): KeyValue {
  const equals = word.indexOf('=')
  if (equals === -1) {
    const form = 'Must be of the form: name=value'
    refuse(request, `Syntax error - can't find = in ${JSON.stringify(word)}. ${form}`, { at: { argument } })
  }
  if (equals === 0) {
    refuse(request, `${request.base.keyword.toUpperCase()} names can not be blank`, { at: { argument } })
  }
  return { key: word.slice(0, equals), value: word.slice(equals + 1) }
}

/**
 * The first word decides the form: with `=` all words are pairs, without it the line is one pair.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`
 */
export function parsePairs(request: Request): { pairs: readonly KeyValue[]; legacy: boolean } {
  const words = splitWords(request.rest, request.escape)
  const [first] = words
  if (first === undefined)
    refuse(request, `${request.base.keyword.toUpperCase()} requires at least one argument`)
  if (!first.includes('=')) return { pairs: [parseLegacyPair(request)], legacy: true }
  return { pairs: words.map((word, index) => parsePair(request, word, index)), legacy: false }
}

/**
 * Parses `ENV`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseEnv(request: Request): EnvInstruction {
  readFlags(request)
  return { ...request.base, kind: 'env', ...parsePairs(request) }
}

/**
 * Parses `LABEL`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseLabel(request: Request): LabelInstruction {
  readFlags(request)
  return { ...request.base, kind: 'label', ...parsePairs(request) }
}
