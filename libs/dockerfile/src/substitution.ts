import {
  createMatcher,
  type Matcher,
  parsePattern,
  removePrefix,
  removeSuffix,
  replacePattern,
} from './glob.ts'
import { fail, type Lexer, peek, type SpanOptions, take } from './lexer-cursor.ts'

/** Far more than a person writes, far less than what fills the stack. */
const MAX_DEPTH = 200

const WORD: SpanOptions = { stop: '}', rawEscapes: false, pattern: false }
const PATTERN: SpanOptions = { stop: '}', rawEscapes: true, pattern: true }
const REPLACED: SpanOptions = { stop: '/', rawEscapes: true, pattern: true }
const REPLACEMENT: SpanOptions = { stop: '}', rawEscapes: true, pattern: false }

/** A name: digits, or one special character, or letters, digits and `_`. Empty when none follows. */
function readName(lexer: Lexer): string {
  const first = peek(lexer)
  if (first !== '' && '@*#?-$!'.includes(first)) return take(lexer)
  const pattern = /^\p{Nd}$/u.test(first) ? /^\p{Nd}$/u : /^[\p{L}\p{Nd}_]$/u
  let name = ''
  while (pattern.test(peek(lexer))) name += take(lexer)
  return name
}

/** Reads an operand; the end of the text within it means that the brace (or slash) is missing. */
function readOperand(lexer: Lexer, span: SpanOptions, missing: string): string {
  try {
    return lexer.readSpan(lexer, span).text
  } catch (error) {
    if (lexer.position >= lexer.characters.length) fail(missing)
    throw error
  }
}

function matcherOf(text: string): Matcher {
  const tokens = parsePattern(text)
  if (typeof tokens === 'string')
    fail(`invalid pattern (${text}) in substitution: invalid escape '${tokens}'`)
  return createMatcher(tokens)
}

interface Substitution {
  readonly name: string
  readonly operator: string
  /** `:` was written before the operator: an empty value counts as unset. */
  readonly colon: boolean
  readonly value: string | undefined
}

function trim(word: string, { operator, value = '' }: Substitution): string {
  const longest = word.startsWith(operator)
  const text = longest ? word.slice(1) : word
  const matcher = matcherOf(text)
  return operator === '#' ? removePrefix(matcher, value, longest) : removeSuffix(matcher, value, longest)
}

function demand(word: string, { name, colon, value }: Substitution): string {
  if (value === undefined) fail(`${name}: ${word === '' ? 'is not allowed to be unset' : word}`)
  if (colon && value === '') fail(`${name}: ${word === '' ? 'is not allowed to be empty' : word}`)
  return value
}

function applyOperator(word: string, substitution: Substitution): string {
  const { operator, colon, value } = substitution
  const missing = value === undefined || (colon && value === '')
  switch (operator) {
    case '-':
      return missing ? word : value
    case '+':
      return missing ? '' : word
    case '?':
      return demand(word, substitution)
    default:
      return trim(word, substitution)
  }
}

function readReplace(lexer: Lexer, name: string): string {
  const all = peek(lexer) === '/'
  if (all) take(lexer)
  const pattern = readOperand(lexer, REPLACED, `syntax error: missing '/' in \${}`)
  const replacement = readOperand(lexer, REPLACEMENT, "syntax error: missing '}'")
  const value = lexer.options.lookUp(name)
  if (value === undefined && lexer.options.keepUnset) return `\${${name}/${pattern}/${replacement}}`
  const { maxLength } = lexer.options
  return replacePattern(matcherOf(pattern), value ?? '', { replacement, all, maxLength })
}

function readOperator(lexer: Lexer, name: string, first: string): string {
  const colon = first === ':'
  const operator = colon ? take(lexer) : first
  const written = colon ? `:${operator}` : operator
  const trims = operator === '#' || operator === '%'
  if (operator === '') fail("syntax error: missing '}'")
  if (!'+-?#%'.includes(operator) || (colon && trims)) {
    fail(name === '' ? 'syntax error: bad substitution' : `unsupported modifier (${written}) in substitution`)
  }
  const word = readOperand(lexer, trims ? PATTERN : WORD, "syntax error: missing '}'")
  const value = lexer.options.lookUp(name)
  if (value === undefined && lexer.options.keepUnset) return `\${${name}${written}${word}}`
  return applyOperator(word, { name, operator, colon, value })
}

function readBraced(lexer: Lexer): string {
  take(lexer)
  const next = peek(lexer)
  if (next === '') fail("syntax error: missing '}'")
  if ('{}:'.includes(next)) fail('syntax error: bad substitution')
  const name = readName(lexer)
  const operator = take(lexer)
  if (operator === '') fail("syntax error: missing '}'")
  if (operator === '/') return readReplace(lexer, name)
  if (operator !== '}') return readOperator(lexer, name, operator)
  const value = lexer.options.lookUp(name)
  return value ?? (lexer.options.keepUnset ? `\${${name}}` : '')
}

/**
 * Reads what begins with `$` and gives what it stands for; a `$` that begins no name stays.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION`
 * @see spec/dockerfile.md 1.3
 */
export function readDollar(lexer: Lexer): string {
  take(lexer)
  if (peek(lexer) === '{') {
    if (lexer.depth >= MAX_DEPTH) fail(`substitutions are nested more than ${MAX_DEPTH} deep`)
    lexer.depth++
    const text = readBraced(lexer)
    lexer.depth--
    return text
  }
  const name = readName(lexer)
  if (name === '') return '$'
  return lexer.options.lookUp(name) ?? (lexer.options.keepUnset ? `$${name}` : '')
}
