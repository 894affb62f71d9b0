/**
 * The source of a copy that is this path only. Sources with a wildcard are patterns, and in those alone a backslash escapes; one
 * that matches nothing is nothing to copy, where a path that is not there is an error.
 */
export function literalPattern(path: string): string {
  if (!/[*?[]/.test(path)) return path
  return path.replace(/[*?[\\]/g, (mark) => (mark === '\\' ? '[\\\\]' : `[${mark}]`))
}
