import { isBuildError, type SourceRange, UserError } from '@tsbuild/errors'
import type { EscapeToken } from './instruction.ts'
import type { LexOptions, Span } from './lexer-cursor.ts'
import { lex } from './shell-lexer.ts'

/**
 * The most UTF-16 units a word may expand to. Linux takes 128 KiB for one variable or argument; without a limit forty lines of
 * `ARG b=$a$a` fill the memory.
 */
const MAX_WORD = 2 ** 20

/** The same for the body of a heredoc, beside its own length. */
const MAX_GROWTH = 2 ** 24

/** What an error message quotes of a text. */
const MAX_SHOWN = 200

/** The value of a variable; undefined when it is not set. */
export type Environment = (name: string) => string | undefined

/** Notes each variable that a text names, in order; `found` tells whether it was set. */
export type NameListener = (name: string, found: boolean) => void

/** How a word is expanded. */
export interface ExpandOptions {
  /** The Dockerfile's escape character. */
  readonly escape: EscapeToken
  /** Put into the error. */
  readonly source?: SourceRange
  readonly onName?: NameListener
}

/** Lexes and puts the whole text and its place into the error. */
function lexWhole(text: string, options: LexOptions, source: SourceRange | undefined): Span {
  try {
    return lex(text, options)
  } catch (error) {
    if (!isBuildError(error) || error.kind !== 'user') throw error
    const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
    throw new UserError(error.code, `Cannot expand ${JSON.stringify(shown)}: ${error.message}`, {
      source,
      cause: error,
    })
  }
}

function listening(env: Environment, onName: NameListener | undefined): Environment {
  if (onName === undefined) return env
  return (name) => {
    const value = env(name)
    onName(name, value !== undefined)
    return value
  }
}

function wordOptions(env: Environment, { escape: escapeToken, onName }: ExpandOptions): LexOptions {
  return { lookUp: listening(env, onName), escape: escapeToken, maxLength: MAX_WORD }
}

/**
 * Expands one word: substitutes variables and removes quotes and escapes. Blanks are kept, nothing is split.
 * The environment is asked once for each use of a name.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` for a malformed substitution, an open quote, a failed `${v?…}`, a result of more
 *   than 1,048,576 characters, or a pattern that needs too many steps
 * @see spec/dockerfile.md 1.3
 */
export function expand(word: string, env: Environment, options: ExpandOptions): string {
  // Most words have nothing to expand.
  if (!/[$'"\\`]/.test(word)) return word
  return lexWhole(word, wordOptions(env, options), options.source).text
}

/**
 * Expands a text as {@link expand} does and splits the result at blanks outside of quotes, as `EXPOSE` needs. Values are
 * split too. No word is empty.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION`
 */
export function expandWords(text: string, env: Environment, options: ExpandOptions): readonly string[] {
  return lexWhole(text, { ...wordOptions(env, options), words: true }, options.source).words
}

/**
 * Expands the body of a `COPY` or `ADD` heredoc whose word is not quoted: quotes are plain characters, the backslash is the
 * escape character whatever the directive says, `\$` is `$`, `\\` is `\`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` as {@link expand} does; a body may grow by 16,777,216 characters
 * @see spec/dockerfile.md 1.5
 */
export function expandHeredoc(
  body: string,
  env: Environment,
  options: Omit<ExpandOptions, 'escape'> = {},
): string {
  if (!/[$\\]/.test(body)) return body
  const lookUp = listening(env, options.onName)
  const maxLength = body.length + MAX_GROWTH
  return lexWhole(body, { lookUp, escape: '\\', ignoreQuotes: true, maxLength }, options.source).text
}
