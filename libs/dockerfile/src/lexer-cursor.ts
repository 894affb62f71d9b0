import { UserError } from '@tsbuild/errors'

/** How a text is lexed. */
export interface LexOptions {
  /** The value of a variable; undefined when it is not set. */
  readonly lookUp: (name: string) => string | undefined
  readonly escape: string
  /** Quotes stay in the result. */
  readonly rawQuotes?: boolean
  /** Escape characters stay in the result. */
  readonly rawEscapes?: boolean
  /** Quotes are plain characters. */
  readonly ignoreQuotes?: boolean
  /** What uses an unset variable stays as written. */
  readonly keepUnset?: boolean
  /** The words are wanted, not only the text. */
  readonly words?: boolean
  /** The most UTF-16 units that any part of the result may have. */
  readonly maxLength: number
}

/** A text being lexed. Characters are code points, so that names and quotes are never cut within one. */
export interface Lexer {
  readonly characters: readonly string[]
  position: number
  /** Nesting of `${…}`. */
  depth: number
  readonly options: LexOptions
  /** Reads up to a stop character: the operands of a substitution are texts of the same grammar. */
  readonly readSpan: (lexer: Lexer, span: SpanOptions) => Span
}

/** How the part up to a stop character is read. */
export interface SpanOptions {
  /** The character that ends the span (and is consumed), or '' for the end of the text. */
  readonly stop: string
  readonly rawEscapes: boolean
  /** The span is a pattern: escape characters within quotes are doubled, so that the pattern reader takes them literally. */
  readonly pattern: boolean
}

/** A lexed span: as one text and, where {@link LexOptions.words} asks for them, split at blanks outside of quotes. */
export interface Span {
  readonly text: string
  readonly words: readonly string[]
}

/** The next character, or '' at the end. */
export function peek(lexer: Lexer): string {
  return lexer.characters[lexer.position] ?? ''
}

/** Takes the next character, or '' at the end. */
export function take(lexer: Lexer): string {
  return lexer.characters[lexer.position++] ?? ''
}

/** Ends lexing of what has grown too long. */
export function failTooLong(maxLength: number): never {
  fail(`it expands to more than ${maxLength} characters`)
}

/**
 * Joins a part to a text that is being built. Values within values double with each line (`ARG b=$a$a`), so every joint is
 * checked, before the text is made.
 */
export function join(lexer: Lexer, text: string, part: string): string {
  const { maxLength } = lexer.options
  if (text.length + part.length > maxLength) failTooLong(maxLength)
  return text + part
}

/** Ends lexing. The caller that knows the whole text adds it to the message. */
export function fail(message: string): never {
  throw new UserError('ERR_DOCKERFILE_EXPANSION', message)
}
