import { type SourceRange, UserError } from '@tsbuild/errors'
import { leadingSpaces, trimSpace } from './characters.ts'
import { byteLength, findUnfit } from './decode.ts'
import { createDirectiveReader } from './directives.ts'
import type { Directive, EscapeToken, Extension } from './instruction.ts'

/** The longest line BuildKit's scanner takes, in bytes of UTF-8, without its line feed. */
const MAX_LINE_BYTES = 65_535

/** A part of a logical line that stands on one physical line. */
export interface Piece {
  /** Physical line, from 0. */
  readonly line: number
  /** UTF-16 column at which the part begins. */
  readonly column: number
  /** Offset of the part in {@link LogicalLine.text}. */
  readonly offset: number
}

/** An instruction's text with its continuations joined. */
export interface LogicalLine {
  readonly text: string
  readonly pieces: readonly Piece[]
  /** First and last physical line, from 0; the last is the last that was read for it, comments included. */
  readonly firstLine: number
  readonly lastLine: number
  /** The file ends where the last part wants to be continued. */
  readonly open: boolean
  readonly comments: readonly string[]
  /** The blank lines within the continuation, from 0. */
  readonly emptyLines: readonly number[]
}

/** Reads a Dockerfile from top to bottom. Not restartable. */
export interface LineReader {
  readonly directives: readonly Directive[]
  readonly escape: EscapeToken
  /** See {@link DirectiveReader.extensions}. */
  readonly extensions: readonly Extension[]
  /** The number of lines read so far. */
  readonly position: number
  /**
   * The next instruction's line, or null at the end of the file.
   *
   * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a bad directive or a line over 65,535 bytes
   */
  next(): LogicalLine | null
  /** The next physical line as it stands, line end included, or null at the end of the file. */
  nextRaw(): string | null
}

/** Where to begin reading when it is not the start of the file. */
export interface ReadFrom {
  /** The first line to read, from 0. */
  readonly line: number
  /** The file's escape character. */
  readonly escape: EscapeToken
}

/** Cuts a text after each line feed; a carriage return alone ends no line. */
export function splitLines(text: string): readonly string[] {
  const lines: string[] = []
  let start = 0
  while (start < text.length) {
    const feed = text.indexOf('\n', start)
    const end = feed === -1 ? text.length : feed + 1
    lines.push(text.slice(start, end))
    start = end
  }
  return lines
}

/** Removes all carriage returns and line feeds at the end. */
export function trimLineEnd(line: string): string {
  let end = line.length
  while (end > 0 && (line.charAt(end - 1) === '\n' || line.charAt(end - 1) === '\r')) end--
  return line.slice(0, end)
}

/** The range of one whole physical line (counted from 0), without its line end. */
export function lineRange(file: string, line: number, text: string): SourceRange {
  return { file, startLine: line + 1, startColumn: 0, endLine: line + 1, endColumn: trimLineEnd(text).length }
}

/** The range of a whole file, without its last line end. */
export function fileRange(file: string, lines: readonly string[]): SourceRange {
  const last = Math.max(0, lines.length - 1)
  return { ...lineRange(file, last, lines[last] ?? ''), startLine: 1 }
}

/**
 * The text before a continuation character at the end of a line, or null if the line does not continue.
 * Blanks may follow the character; a doubled one does not continue.
 */
function beforeContinuation(line: string, escapeToken: EscapeToken): string | null {
  let end = line.length
  while (end > 0 && (line.charAt(end - 1) === ' ' || line.charAt(end - 1) === '\t')) end--
  if (end === 0 || line.charAt(end - 1) !== escapeToken) return null
  if (end > 1 && line.charAt(end - 2) === escapeToken) return null
  return line.slice(0, end - 1)
}

function checkLength(line: string, index: number, file: string): void {
  // A UTF-16 unit is at most three bytes of UTF-8, so short lines need no count.
  if (line.length * 3 <= MAX_LINE_BYTES) return
  const bytes = byteLength(line) - (line.endsWith('\n') ? 1 : 0)
  if (bytes <= MAX_LINE_BYTES) return
  throw new UserError(
    'ERR_DOCKERFILE_SYNTAX',
    `Cannot read line ${index + 1}: dockerfile line greater than max allowed size of ${MAX_LINE_BYTES}`,
    { source: lineRange(file, index, line) },
  )
}

/**
 * Opens a reader over the lines of a Dockerfile (see {@link splitLines}). It decides what is a directive, comment, instruction and continuation,
 * by BuildKit's rules.
 *
 * @see spec/dockerfile.md 1.1
 */
export function createLineReader(lines: readonly string[], file: string, from?: ReadFrom): LineReader {
  const directives = createDirectiveReader(file, from?.escape)
  let position = from?.line ?? 0

  function nextRaw(): string | null {
    const line = lines[position]
    if (line === undefined) return null
    checkLength(line, position, file)
    position++
    return line
  }

  /** Tells whether a line came that ends the continuation. */
  function readContinuation(
    joined: string[],
    pieces: Piece[],
    emptyLines: number[],
    length: number,
  ): boolean {
    let offset = length
    for (let raw = nextRaw(); raw !== null; raw = nextRaw()) {
      const line = trimLineEnd(raw)
      const start = leadingSpaces(line)
      if (start === line.length) {
        emptyLines.push(position - 1)
        continue
      }
      if (line.charAt(start) === '#') continue
      const before = beforeContinuation(line, directives.escape)
      const part = before ?? line
      pieces.push({ line: position - 1, column: 0, offset })
      joined.push(part)
      offset += part.length
      if (before === null) return true
    }
    return false
  }

  function readLogical(line: string, column: number, comments: readonly string[]): LogicalLine | null {
    const firstLine = position - 1
    const before = beforeContinuation(line, directives.escape)
    const first = before ?? line
    if (before === null && first === '') return null
    const pieces: Piece[] = [{ line: firstLine, column, offset: 0 }]
    const joined = [first]
    const emptyLines: number[] = []
    const open = before !== null && !readContinuation(joined, pieces, emptyLines, first.length)
    return { text: joined.join(''), pieces, firstLine, lastLine: position - 1, open, comments, emptyLines }
  }

  function next(): LogicalLine | null {
    let comments: string[] = []
    for (let raw = nextRaw(); raw !== null; raw = nextRaw()) {
      const bom = position === 1 && raw.startsWith('\ufeff') ? 1 : 0
      const line = trimLineEnd(raw)
      const column = bom + leadingSpaces(line.slice(bom))
      const content = line.slice(column)
      if (directives.read(content, position - 1, raw)) continue
      if (content.startsWith('#')) {
        const comment = trimSpace(content.slice(1))
        if (comment === '') comments = []
        else comments.push(comment)
        continue
      }
      const logical = readLogical(content, column, comments)
      if (logical !== null) return logical
    }
    return null
  }

  return {
    directives: directives.found,
    get escape() {
      return directives.escape
    },
    get extensions() {
      return directives.extensions
    },
    get position() {
      return position
    },
    next,
    nextRaw,
  }
}

/** The range of a part of a logical line's text, which may go over several physical lines. */
export function textRange(
  line: LogicalLine,
  file: string,
  offsets: { readonly start: number; readonly end: number },
): SourceRange {
  const origin: Piece = { line: line.firstLine, column: 0, offset: 0 }
  const first = line.pieces.findLast((piece) => piece.offset <= offsets.start) ?? origin
  // An end at the seam of two parts belongs to the earlier one.
  const last = line.pieces.findLast((piece) => piece.offset < offsets.end) ?? first
  return {
    file,
    startLine: first.line + 1,
    startColumn: first.column + offsets.start - first.offset,
    endLine: last.line + 1,
    endColumn: last.column + offsets.end - last.offset,
  }
}

/**
 * The range of a logical line: from its first character that is not blank to the end of its text, or to the continuation
 * character that nothing follows.
 */
export function logicalRange(line: LogicalLine, file: string): SourceRange {
  const { text, pieces, open } = line
  const range = textRange(line, file, { start: leadingSpaces(text), end: text.length })
  const last = pieces.at(-1)
  if (!open || last === undefined) return range
  return { ...range, endLine: last.line + 1, endColumn: last.column + text.length - last.offset + 1 }
}

/**
 * Makes sure that an image can hold an instruction's line as it stands.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a NUL, a byte that is no UTF-8, or another unpaired surrogate
 */
export function checkFit(line: LogicalLine, file: string): void {
  const unfit = findUnfit(line.text)
  if (unfit === null) return
  const { index, reason, hints } = unfit
  const source = textRange(line, file, { start: index, end: index + 1 })
  throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot read line ${source.startLine}: ${reason}`, {
    source,
    // The byte order mark of UTF-16.
    hints: /^\p{Surrogate}{2}/u.test(line.text) ? ['The file looks like UTF-16: save it as UTF-8.'] : hints,
  })
}
