/**
 * Whether Go's `path.Match` takes a path for one that a pattern means: `*` and `?` stop at `/`, classes are of characters, a
 * backslash escapes.
 *
 * @returns undefined for a pattern that is none
 */
export function pathMatches(pattern: string, path: string): boolean | undefined {
  const expression = compiled(pattern)
  return expression?.test(path)
}

const known = new Map<string, RegExp | undefined>()

function compiled(pattern: string): RegExp | undefined {
  if (!known.has(pattern)) {
    if (known.size > 100) known.clear()
    known.set(pattern, compile(pattern))
  }
  return known.get(pattern)
}

function compile(pattern: string): RegExp | undefined {
  let source = ''
  const marks = [...pattern]
  for (let at = 0; at < marks.length; at += 1) {
    const mark = marks[at] ?? ''
    if (mark === '*') {
      // Several are one: without it the expression would try every way to share the characters among them.
      if (marks[at - 1] !== '*') source += '[^/]*'
    } else if (mark === '?') source += '[^/]'
    else if (mark === '[') {
      const end = closing(marks, at)
      if (end === undefined) return undefined
      source += characters(marks.slice(at + 1, end))
      at = end
    } else if (mark === '\\') {
      at += 1
      if (at >= marks.length) return undefined
      source += literal(marks[at] ?? '')
    } else source += literal(mark)
  }
  try {
    return new RegExp(`^${source}$`, 'su')
  } catch {
    return undefined
  }
}

function closing(marks: readonly string[], open: number): number | undefined {
  for (let at = open + (marks[open + 1] === '^' ? 2 : 1); at < marks.length; at += 1) {
    if (marks[at] === '\\') at += 1
    else if (marks[at] === ']') return at
  }
  return undefined
}

function characters(marks: readonly string[]): string {
  const negated = marks[0] === '^'
  const own = negated ? marks.slice(1) : marks
  let source = ''
  for (let at = 0; at < own.length; at += 1) {
    const mark = own[at] ?? ''
    if (mark === '-') source += '-'
    else if (mark === '\\') {
      at += 1
      source += literal(own[at] ?? '')
    } else source += literal(mark)
  }
  return `[${negated ? '^' : ''}${source}]`
}

const literal = (mark: string) => (/[\\^$.*+?()[\]{}|/-]/.test(mark) ? `\\${mark}` : mark)
