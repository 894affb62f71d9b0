import { DIRECTIVE_NAMES, splitDirective } from './directives.ts'
import { splitLines, trimLineEnd } from './line-reader.ts'

/** The frontend that a build file asks for. */
export interface SyntaxRequest {
  /** An image reference, for example `docker/dockerfile:1`. */
  readonly image: string
  /** The whole value: the image and what follows it after a blank. */
  readonly value: string
  /** The line of the directive, counted from 1. */
  readonly line: number
}

function fromComments(lines: readonly string[], marker: '#' | '//'): Omit<SyntaxRequest, 'image'> | null {
  for (const [index, line] of lines.entries()) {
    const split = splitDirective(trimLineEnd(line), marker)
    if (split === null || !DIRECTIVE_NAMES.some((name) => name === split.name)) return null
    if (split.name === 'syntax') return { value: split.value, line: index + 1 }
  }
  return null
}

function fromJson(text: string): string | null {
  if (!text.trimStart().startsWith('{')) return null
  try {
    const value: unknown = JSON.parse(text)
    const syntax = typeof value === 'object' && value !== null && 'syntax' in value ? value.syntax : null
    return typeof syntax === 'string' ? syntax : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/**
 * Finds which frontend a build file asks for, before anything of it is parsed, as it need not be a Dockerfile: `# syntax=`,
 * `// syntax=`, or a JSON object with the key `syntax`. A first line `#!` is skipped. Null when none is asked for.
 * The build argument `BUILDKIT_SYNTAX`, which goes before, is the caller's.
 *
 * @see spec/dockerfile.md 1.1
 */
export function detectSyntax(text: string): SyntaxRequest | null {
  const body = text.replace(/^\ufeff/, '')
  const lines = splitLines(body)
  const skipped = body.startsWith('#!') ? 1 : 0
  const rest = lines.slice(skipped)
  const json = fromJson(rest.join(''))
  const found =
    fromComments(rest, '#') ?? fromComments(rest, '//') ?? (json === null ? null : { value: json, line: 1 })
  if (found === null) return null
  return { ...found, line: found.line + skipped, image: found.value.split(' ')[0] ?? '' }
}
