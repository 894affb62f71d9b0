/** Matches a text; gives what stood for each `{name}`. */
export type Glob = (text: string) => Readonly<Record<string, string>> | undefined

/** Texts that are matched are names and claims; what is longer fits nothing. */
const maxTextLength = 1024
const compiled = new WeakMap<readonly string[], readonly Glob[]>()

/**
 * Compiles a pattern of scopes, repositories or claims.
 *
 * - `*` stands for any number of characters but `/` and `:`
 * - `**` stands for one or more characters, whatever they are: `acme/**` is all below `acme/`. Between two slashes it stands for
 *   any number of components, none included.
 * - `{name}` is one component and `{name...}` is one or more. What they stood for is remembered; the same name twice stands for the
 *   same text twice.
 *
 * Everything else stands for itself. Patterns come from whoever runs the server or signs its tokens, texts from anybody.
 */
export function compileGlob(pattern: string): Glob {
  const names = new Set<string>()
  const parts = pattern.match(/\/\*\*\/|\*\*|\*|\{[a-z]\w*(?:\.{3})?\}|./gsu) ?? []
  const source = parts.map((part) => sourceOf(part, names)).join('')
  const expression = new RegExp(`^${source}$`, 'su')
  return (text) => {
    if (text.length > maxTextLength) return undefined
    const found = expression.exec(text)
    return found === null ? undefined : { ...found.groups }
  }
}

/** Whether one of these patterns fits; see {@link compileGlob}. Each list is compiled once. */
export function matchesAny(patterns: readonly string[], text: string): boolean {
  const globs = compiled.get(patterns) ?? patterns.map(compileGlob)
  compiled.set(patterns, globs)
  return globs.some((glob) => glob(text) !== undefined)
}

function sourceOf(part: string, names: Set<string>): string {
  if (part === '/**/') return '/(?:.+/)?'
  if (part === '**') return '.+'
  if (part === '*') return '[^/:]*'
  const [, name, more] = /^\{([a-z]\w*)(\.{3})?\}$/.exec(part) ?? []
  if (name === undefined) return part.replace(/[\\^$.*+?()[\]{}|/]/u, '\\$&')
  if (names.has(name)) return `\\k<${name}>`
  names.add(name)
  return more === undefined ? `(?<${name}>[^/:]+)` : `(?<${name}>.+)`
}
