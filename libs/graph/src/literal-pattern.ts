/** A pattern that matches this path only: sources of a copy are patterns, in which a backslash alone is no escape. */
export function literalPattern(path: string): string {
  return path.replace(/[*?[\\]/g, (mark) => (mark === '\\' ? '[\\\\]' : `[${mark}]`))
}
