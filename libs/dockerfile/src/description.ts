/** What the first comment line that starts with a name says after it; null when none does. */
export function describe(comments: readonly string[], name: string): string | null {
  const line = comments.find((comment) => comment.startsWith(`${name} `))
  return line === undefined ? null : line.slice(name.length + 1)
}
