import { isBuildError } from '@tsbuild/errors'
import type { Heredoc } from './instruction.ts'
import type { LexOptions, Span } from './lexer-cursor.ts'
import { lex } from './shell-lexer.ts'

/** A `<<word` without its body. */
export type HeredocWord = Pick<Heredoc, 'name' | 'stripTabs' | 'expand' | 'fileDescriptor'>

// The escape character of heredoc words is the backslash, whatever the directive says.
const KEEP_ALL: LexOptions = {
  lookUp: () => undefined,
  escape: '\\',
  rawQuotes: true,
  rawEscapes: true,
  keepUnset: true,
  words: true,
  maxLength: Number.POSITIVE_INFINITY,
}
const UNQUOTE: LexOptions = {
  lookUp: () => undefined,
  escape: '\\',
  keepUnset: true,
  words: true,
  maxLength: Number.POSITIVE_INFINITY,
}
const KEEP_QUOTES: LexOptions = { ...UNQUOTE, rawQuotes: true }

function countQuotes(text: string): number {
  return text.split(/['"]/).length - 1
}

/**
 * Reads one word as the start of a heredoc: `[fd]<<[-]word`. Null when it is none.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` when the word after `<<` is malformed
 * @see spec/dockerfile.md 1.5
 */
export function parseHeredocWord(text: string): HeredocWord | null {
  const match = /^(\d*)<<(-?)/.exec(text)
  if (match === null) return null
  const rest = text.slice(match[0].length).replace(/^[\t\n\f\r ]+/, '')
  if (rest === '' || rest.includes('<')) return null
  const unquoted = lex(rest, UNQUOTE).words
  const raw = lex(rest, KEEP_QUOTES).words
  const [name] = unquoted
  const [rawName] = raw
  if (name === undefined || rawName === undefined || unquoted.length !== 1 || raw.length !== 1) return null
  return {
    name,
    stripTabs: match[2] === '-',
    expand: countQuotes(name) === countQuotes(rawName),
    fileDescriptor: Number(match[1] ?? 0),
  }
}

/** Like {@link parseHeredocWord}, but a malformed word is no heredoc. */
export function tryHeredocWord(text: string): HeredocWord | null {
  try {
    return parseHeredocWord(text)
  } catch (error) {
    if (isBuildError(error) && error.kind === 'user') return null
    throw error
  }
}

/** A line whose quotes or braces are not closed has no heredocs: the shell will judge it. */
function tryLex(line: string): Span {
  try {
    return lex(line, KEEP_ALL)
  } catch (error) {
    if (isBuildError(error) && error.kind === 'user') return { text: '', words: [] }
    throw error
  }
}

/**
 * The heredocs that an instruction's joined line begins, in order.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` when the word after a `<<` is malformed
 */
export function findHeredocs(line: string): readonly HeredocWord[] {
  if (!line.includes('<<')) return []
  return tryLex(line)
    .words.map(parseHeredocWord)
    .filter((word) => word !== null)
}

/**
 * The body of a heredoc as the build uses it: without leading tabs when it was written `<<-`.
 */
export function heredocText(heredoc: Pick<Heredoc, 'content' | 'stripTabs'>): string {
  return heredoc.stripTabs ? heredoc.content.replace(/(^|\n)\t+/g, '$1') : heredoc.content
}
