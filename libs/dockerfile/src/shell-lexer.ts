import { isSpace } from './characters.ts'
import {
  fail,
  join,
  type Lexer,
  type LexOptions,
  peek,
  type Span,
  type SpanOptions,
  take,
} from './lexer-cursor.ts'
import { readDollar } from './substitution.ts'

function readSingleQuoted(lexer: Lexer, span: SpanOptions): string {
  const { rawQuotes, escape: escapeToken } = lexer.options
  const quote = take(lexer)
  let text = ''
  for (let character = take(lexer); character !== "'"; character = take(lexer)) {
    if (character === '') fail('unexpected end of statement while looking for matching single-quote')
    if (span.pattern && character === escapeToken) text += character
    text += character
  }
  return rawQuotes ? quote + text + quote : text
}

/** What a backslash (or the chosen escape character) within double quotes stands for. */
function readQuotedEscape(lexer: Lexer, span: SpanOptions): string {
  const { rawQuotes, escape: escapeToken } = lexer.options
  const next = peek(lexer)
  if (next === '') return ''
  if (next === '"' || next === '$' || next === escapeToken) {
    take(lexer)
    return span.rawEscapes ? escapeToken + next : next
  }
  return span.rawEscapes && (!rawQuotes || span.pattern) ? escapeToken + escapeToken : escapeToken
}

function readDoubleQuoted(lexer: Lexer, span: SpanOptions): string {
  const { rawQuotes, escape: escapeToken } = lexer.options
  const quote = take(lexer)
  let text = ''
  while (peek(lexer) !== '"') {
    if (peek(lexer) === '') fail('unexpected end of statement while looking for matching double-quote')
    if (peek(lexer) === '$') text = join(lexer, text, readDollar(lexer))
    else {
      const character = take(lexer)
      text += character === escapeToken ? readQuotedEscape(lexer, span) : character
    }
  }
  take(lexer)
  return rawQuotes ? quote + text + quote : text
}

/** `<<` with the blanks after it, which then do not end the word: `<< EOF` is one. */
function readHeredocSign(lexer: Lexer): string {
  let text = take(lexer)
  if (peek(lexer) !== '<') return text
  text += take(lexer)
  while (peek(lexer) !== '' && '\t\r '.includes(peek(lexer))) text += take(lexer)
  return text
}

interface WordCollector {
  readonly words: readonly string[]
  raw(text: string): void
  split(text: string): void
  end(): void
}

/** For texts whose words nobody wants: a heredoc may have millions. */
const NO_COLLECTOR: WordCollector = { words: [], raw() {}, split() {}, end() {} }

/** Collects words; blanks end a word unless they are added raw. */
function createWordCollector(): WordCollector {
  const words: string[] = []
  let word = ''
  return {
    words,
    raw(text: string) {
      word += text
    },
    split(text: string) {
      for (const character of text) {
        if (!isSpace(character)) word += character
        else if (word !== '') {
          words.push(word)
          word = ''
        }
      }
    },
    end() {
      if (word !== '') words.push(word)
      word = ''
    },
  }
}

/**
 * Reads up to the stop character or the end of the text.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` when a quote, a brace or the stop character is missing
 */
function readSpan(lexer: Lexer, span: SpanOptions): Span {
  const { escape: escapeToken, ignoreQuotes, words } = lexer.options
  // The words of an operand are those of its text, when that is split in turn.
  const collector = words && span.stop === '' ? createWordCollector() : NO_COLLECTOR
  let text = ''
  for (let next = peek(lexer); next !== span.stop; next = peek(lexer)) {
    if (next === '') fail(`unexpected end of statement while looking for matching ${span.stop}`)
    let part: string
    if (next === '$') {
      part = readDollar(lexer)
      collector.split(part)
    } else if (next === '<') {
      part = readHeredocSign(lexer)
      collector.raw(part)
    } else if (!ignoreQuotes && (next === "'" || next === '"')) {
      part = next === "'" ? readSingleQuoted(lexer, span) : readDoubleQuoted(lexer, span)
      collector.raw(part)
    } else if (next === escapeToken) {
      take(lexer)
      part = (span.rawEscapes ? escapeToken : '') + take(lexer)
      collector.raw(part)
    } else {
      part = take(lexer)
      collector.split(part)
    }
    text = join(lexer, text, part)
  }
  if (span.stop !== '') take(lexer)
  collector.end()
  return { text, words: collector.words }
}

/**
 * Lexes a whole text: removes quotes and escapes, substitutes variables, splits into words.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION`
 * @see spec/dockerfile.md 1.3
 */
export function lex(text: string, options: LexOptions): Span {
  const lexer: Lexer = { characters: Array.from(text), position: 0, depth: 0, options, readSpan }
  return readSpan(lexer, { stop: '', rawEscapes: options.rawEscapes ?? false, pattern: false })
}
