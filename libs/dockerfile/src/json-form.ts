import { leadingSpaces } from './characters.ts'

/** What the text of an instruction is, read as JSON form. */
export type JsonForm =
  | { readonly kind: 'strings'; readonly strings: readonly string[] }
  /** A JSON array with something else than strings: an error in every instruction. */
  | { readonly kind: 'not-strings' }
  /** No JSON array at all: shell form. */
  | { readonly kind: 'none' }

/**
 * Reads a text as a JSON array of strings. What begins with `[` but is not valid JSON is silently no JSON form.
 *
 * @see spec/dockerfile.md 1.1
 */
export function readJsonForm(text: string): JsonForm {
  const body = text.slice(leadingSpaces(text))
  if (!body.startsWith('[')) return { kind: 'none' }
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (error) {
    if (error instanceof SyntaxError) return { kind: 'none' }
    throw error
  }
  if (!Array.isArray(value)) return { kind: 'none' }
  const strings = value.filter((item) => typeof item === 'string')
  return strings.length === value.length ? { kind: 'strings', strings } : { kind: 'not-strings' }
}
