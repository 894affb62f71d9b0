import { isBuildError, type SourceRange, UserError } from '@tsbuild/errors'
import type { EscapeToken } from './instruction.ts'
import type { LexOptions, Span } from './lexer-cursor.ts'
import { lex } from './shell-lexer.ts'

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
    throw new UserError(error.code, `Cannot expand ${JSON.stringify(text)}: ${error.message}`, {
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

/**
 * Expands one word: substitutes variables and removes quotes and escapes. Blanks are kept, nothing is split.
 * The environment is asked once for each use of a name.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` for a malformed substitution, an open quote, or a failed `${v?…}`
 * @see spec/dockerfile.md 1.3
 */
export function expand(word: string, env: Environment, options: ExpandOptions): string {
  // Most words have nothing to expand.
  if (!/[$'"\\`]/.test(word)) return word
  return lexWhole(word, { lookUp: listening(env, options.onName), escape: options.escape }, options.source)
    .text
}

/**
 * Expands a text as {@link expand} does and splits the result at blanks outside of quotes, as `EXPOSE` needs. Values are
 * split too. No word is empty.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION`
 */
export function expandWords(text: string, env: Environment, options: ExpandOptions): readonly string[] {
  return lexWhole(text, { lookUp: listening(env, options.onName), escape: options.escape }, options.source)
    .words
}

/**
 * Expands the body of a `COPY` or `ADD` heredoc whose word is not quoted: quotes are plain characters, the backslash is the
 * escape character whatever the directive says, `\$` is `$`, `\\` is `\`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION`
 * @see spec/dockerfile.md 1.5
 */
export function expandHeredoc(
  body: string,
  env: Environment,
  options: Omit<ExpandOptions, 'escape'> = {},
): string {
  const lookUp = listening(env, options.onName)
  return lexWhole(body, { lookUp, escape: '\\', ignoreQuotes: true }, options.source).text
}
