import { type SourceRange, UserError } from '@tsbuild/errors'
import { leadingSpaces } from './characters.ts'
import type { Directive, EscapeToken } from './instruction.ts'

/** Reads the parser directives at the top of a Dockerfile, line by line. */
export interface DirectiveReader {
  readonly found: readonly Directive[]
  /** The escape character in force. */
  readonly escape: EscapeToken
  /**
   * Takes a physical line without leading blanks and line end, and tells whether it is a directive. The first line that is none
   * ends the block for good.
   *
   * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a repeated directive or a bad escape character
   */
  read(content: string, line: number, raw: string): boolean
}

/** The directives that there are; another name ends the block of directives. */
export const DIRECTIVE_NAMES: readonly Directive['name'][] = ['syntax', 'escape', 'check']

/** Splits `# name = value`; null when the line has another shape. Blanks are ASCII ones here. */
export function splitDirective(comment: string, marker = '#'): { name: string; value: string } | null {
  if (!comment.startsWith(marker)) return null
  const body = comment.slice(marker.length)
  const match = /^([a-zA-Z][a-zA-Z0-9]*)[\t\f\r ]*=/.exec(body.slice(leadingSpaces(body)))
  if (match?.[1] === undefined) return null
  const value = body.slice(body.indexOf('=') + 1).replace(/^[\t\f\r ]+/, '')
  let end = value.length
  while (end > 0 && '\t\f\r '.includes(value.charAt(end - 1))) end--
  const name = match[1].toLowerCase()
  if (end > 0) return { name, value: value.slice(0, end) }
  // A value is never empty: blanks alone are one blank.
  const blank = body.slice(-1)
  return blank === '=' ? null : { name, value: blank }
}

function asEscape(value: string, source: SourceRange): EscapeToken {
  if (value === '\\' || value === '`') return value
  throw new UserError(
    'ERR_DOCKERFILE_SYNTAX',
    `Cannot read directive "escape": invalid escape token '${value}' does not match \` or \\`,
    { source },
  )
}

/**
 * Makes a reader for one file.
 *
 * @param known the escape character, when the block of directives is already read: then nothing is a directive any more
 * @see spec/dockerfile.md 1.1
 */
export function createDirectiveReader(file: string, known?: EscapeToken): DirectiveReader {
  const found: Directive[] = []
  let current: EscapeToken = known ?? '\\'
  let done = known !== undefined

  function read(content: string, line: number, raw: string): boolean {
    if (done) return false
    const split = splitDirective(content)
    const name = DIRECTIVE_NAMES.find((known) => known === split?.name)
    if (split === null || name === undefined) {
      done = true
      return false
    }
    const startColumn = raw.indexOf('#')
    const source = {
      file,
      startLine: line + 1,
      startColumn,
      endLine: line + 1,
      endColumn: startColumn + content.length,
    }
    if (found.some((directive) => directive.name === name)) {
      throw new UserError(
        'ERR_DOCKERFILE_SYNTAX',
        `Cannot read directive "${name}": only one ${name} parser directive can be used`,
        {
          source,
        },
      )
    }
    if (name === 'escape') current = asEscape(split.value, source)
    found.push({ name, value: split.value, source })
    return true
  }

  return {
    found,
    get escape() {
      return current
    },
    read,
  }
}
