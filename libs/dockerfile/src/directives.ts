import { didYouMean, type SourceRange, UserError } from '@tsbuild/errors'
import { leadingSpaces } from './characters.ts'
import type { Directive, EscapeToken, Extension } from './instruction.ts'

/** Reads the parser directives at the top of a Dockerfile, line by line. */
export interface DirectiveReader {
  readonly found: readonly Directive[]
  /** The escape character in force. */
  readonly escape: EscapeToken
  /** What `# tsbuild=` switches on. */
  readonly extensions: readonly Extension[]
  /**
   * Takes a physical line without leading blanks and line end, and tells whether it is a directive. The first line that is none
   * ends the block for good.
   *
   * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a repeated directive, a bad escape character, an unknown extension, or a
   *   directive below `# tsbuild=`, which other builders take for a comment that ends the block
   */
  read(content: string, line: number, raw: string): boolean
}

/** The directives that there are; another name ends the block of directives. */
export const DIRECTIVE_NAMES: readonly Directive['name'][] = ['syntax', 'escape', 'check', 'tsbuild']

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

/** The extensions of the language that a Dockerfile can ask for. */
export const EXTENSIONS: readonly Extension[] = ['cache-control']

function asExtensions(value: string, source: SourceRange): readonly Extension[] {
  const names = value.split(',').map((name) => name.trim())
  return names.map((name) => {
    const extension = EXTENSIONS.find((known) => known === name)
    if (extension !== undefined) return extension
    const message = `Cannot read directive "tsbuild": unknown extension ${JSON.stringify(name)}`
    const near = didYouMean(name.slice(0, 32), EXTENSIONS)
    const all = `It takes names with commas between them: ${EXTENSIONS.map((known) => `\`${known}\``).join(', ')}.`
    throw new UserError('ERR_DOCKERFILE_SYNTAX', message, { source, hints: near.length > 0 ? near : [all] })
  })
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
  let extensions: readonly Extension[] = []
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
    if (found.at(-1)?.name === 'tsbuild') {
      const message = `Cannot read directive "${name}": it stands below the directive "tsbuild"`
      const hints = [
        'Put `# tsbuild=` last: other builders take it for a comment, which ends the directives.',
      ]
      throw new UserError('ERR_DOCKERFILE_SYNTAX', message, { source, hints })
    }
    if (name === 'tsbuild') extensions = asExtensions(split.value, source)
    if (name === 'escape') current = asEscape(split.value, source)
    found.push({ name, value: split.value, source })
    return true
  }

  return {
    found,
    get escape() {
      return current
    },
    get extensions() {
      return extensions
    },
    read,
  }
}
