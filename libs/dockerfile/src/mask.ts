import { isBlank, isSpace, leadingSpaces } from './characters.ts'
import { splitLine } from './flags.ts'
import type { EscapeToken } from './instruction.ts'
import { readJsonForm } from './json-form.ts'
import type { LogicalLine } from './line-reader.ts'

/** The instructions whose words may be quoted. */
const QUOTING = new Set(['arg', 'env', 'label'])

/** The instructions that may be a JSON array. */
const JSON_FORM = new Set(['add', 'cmd', 'copy', 'entrypoint', 'run', 'shell', 'volume'])

/** Where words end in a part of an instruction. */
type WordRule = 'plain' | 'quoted' | 'json'

/** A unit that no parser takes for syntax. Of arguments not even the dashes stay: after flags they would be flags. */
function neutral(character: string): string {
  return /[A-Za-z0-9./:@=]/.test(character) ? character : '_'
}

/**
 * Rewrites a part so that blanks stand exactly between its words and no character is special. The length stays.
 */
function maskPart(text: string, rule: WordRule, escapeToken: string): string {
  let quote = ''
  let masked = ''
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index)
    if (
      rule !== 'plain' &&
      character === escapeToken &&
      (rule !== 'json' || quote !== '') &&
      index + 1 < text.length
    ) {
      masked += '__'
      index++
    } else if (rule !== 'plain' && (character === '"' || (character === "'" && rule === 'quoted'))) {
      if (quote === '') quote = character
      else if (quote === character) quote = ''
      masked += '_'
    } else if (quote !== '') masked += neutral(character)
    else if (rule === 'json') masked += ' '
    else masked += (rule === 'plain' ? isBlank(character) : isSpace(character)) ? ' ' : neutral(character)
  }
  return masked
}

/** Masks the flags, whose dashes must stay. */
function maskFlags(text: string): string {
  return maskPart(text, 'quoted', '\\').replace(/(^| )__/g, '$1--')
}

/** Masks an instruction's joined line. */
function maskJoined(text: string, escapeToken: EscapeToken): string {
  const { keyword, rest, flagsEnd, restOffset } = splitLine(text)
  // White space of any kind at the end is no word.
  const untrimmed = leadingSpaces(text.slice(restOffset)) + rest.length
  const start = leadingSpaces(text)
  const head = start + keyword.length
  const name = keyword.toLowerCase()
  const json = JSON_FORM.has(name) && readJsonForm(rest).kind !== 'none'
  const rule: WordRule = json ? 'json' : QUOTING.has(name) ? 'quoted' : 'plain'
  return (
    // A carriage return is a blank to us and a line end to dockerfile-ast.
    ' '.repeat(start) +
    keyword +
    maskFlags(text.slice(head, flagsEnd)) +
    ' '.repeat(restOffset - flagsEnd) +
    maskPart(text.slice(restOffset, restOffset + untrimmed), rule, json ? '\\' : escapeToken)
  )
}

/**
 * Rewrites the physical lines of one instruction for dockerfile-ast: each line keeps its number and each word its columns, but
 * comments are blanked, the continuation character is the backslash, and nothing that the two parsers read differently
 * (quotes, escapes, heredocs, variables, JSON) is left. So a range found in the masked text holds in the file. Blanks at the end may be missing.
 */
export function maskInstruction(line: LogicalLine, escapeToken: EscapeToken): string {
  const joined = maskJoined(line.text, escapeToken)
  const firstWord = leadingSpaces(line.text)
  const rows: string[] = Array.from({ length: line.lastLine - line.firstLine + 1 }, () => '')
  line.pieces.forEach((piece, index) => {
    const end = line.pieces[index + 1]?.offset
    const content = joined.slice(piece.offset, end)
    // A continuation before the instruction's word would begin an empty instruction.
    const continues = end !== undefined && end > firstWord
    rows[piece.line - line.firstLine] = ' '.repeat(piece.column) + content + (continues ? '\\' : '')
  })
  return rows.join('\n')
}
