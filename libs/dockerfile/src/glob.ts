/** One element of a pattern of `${v#p}`, `${v%p}` and `${v/p/r}`. */
export type PatternToken =
  | { readonly kind: 'literal'; readonly character: string }
  | { readonly kind: 'any' | 'star' }

/**
 * Reads a pattern: `*` and `?` are wild, `\*`, `\?` and `\\` literal, `\}` and `\/` the plain character, brackets plain.
 * Gives the offending sequence as a string when another character is escaped.
 *
 * @see spec/dockerfile.md 1.3
 */
export function parsePattern(pattern: string): readonly PatternToken[] | string {
  const characters = Array.from(pattern)
  const tokens: PatternToken[] = []
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] ?? ''
    if (character === '*') tokens.push({ kind: 'star' })
    else if (character === '?') tokens.push({ kind: 'any' })
    else if (character !== '\\') tokens.push({ kind: 'literal', character })
    else {
      const next = characters[++index] ?? ''
      if (next === '' || !'*?\\}/'.includes(next)) return `\\${next}`
      tokens.push({ kind: 'literal', character: next })
    }
  }
  return tokens
}

function matchesOne(token: PatternToken, character: string): boolean {
  return token.kind === 'literal' ? token.character === character : character !== '\n'
}

/** Adds a state and those that a `*` lets follow without a character. */
function addState(states: Set<number>, tokens: readonly PatternToken[], state: number): void {
  let next = state
  states.add(next)
  while (tokens[next]?.kind === 'star') states.add(++next)
}

/**
 * Where a match of the whole pattern that begins at `start` ends, or -1. With `longest` the last such place, else the first.
 * Time grows with text times pattern: no pattern makes it explode. Wildcards do not cross a line feed.
 */
export function matchEnd(
  tokens: readonly PatternToken[],
  text: readonly string[],
  options: { readonly start: number; readonly longest: boolean },
): number {
  let states = new Set<number>()
  addState(states, tokens, 0)
  let end = states.has(tokens.length) ? options.start : -1
  for (let index = options.start; index < text.length && states.size > 0; index++) {
    if (end !== -1 && !options.longest) return end
    const character = text[index] ?? ''
    const next = new Set<number>()
    for (const state of states) {
      const token = tokens[state]
      if (token === undefined || !matchesOne(token, character)) continue
      addState(next, tokens, token.kind === 'star' ? state : state + 1)
    }
    states = next
    if (states.has(tokens.length)) end = index + 1
  }
  return end
}

/** Removes the shortest or longest prefix that matches; the text itself when none does. */
export function removePrefix(tokens: readonly PatternToken[], text: string, longest: boolean): string {
  const characters = Array.from(text)
  const end = matchEnd(tokens, characters, { start: 0, longest })
  return end === -1 ? text : characters.slice(end).join('')
}

/** Removes the shortest or longest suffix that matches; the text itself when none does. */
export function removeSuffix(tokens: readonly PatternToken[], text: string, longest: boolean): string {
  const characters = Array.from(text).reverse()
  const end = matchEnd([...tokens].reverse(), characters, { start: 0, longest })
  return end === -1 ? text : characters.slice(end).reverse().join('')
}

/**
 * A regular expression replacement as Go's ReplaceAllString writes it: `$0` and `${0}` are the match, any other name or
 * number is empty (there are no groups), `$$` is a dollar sign.
 */
function fillTemplate(template: string, match: string): string {
  return template.replace(/\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu, (whole, braced, plain) => {
    if (whole === '$$') return '$'
    return /^0+$/.test(braced ?? plain) ? match : ''
  })
}

/**
 * Replaces the first or all matches (leftmost, longest). With `all`, `$` is special in the replacement, as in BuildKit.
 */
export function replacePattern(
  tokens: readonly PatternToken[],
  text: string,
  options: { readonly replacement: string; readonly all: boolean },
): string {
  const characters = Array.from(text)
  let result = ''
  let index = 0
  let previousEnd = -1
  while (index <= characters.length) {
    const end = matchEnd(tokens, characters, { start: index, longest: true })
    // An empty match directly after another match does not count.
    const counts = end !== -1 && !(end === index && index === previousEnd)
    if (counts) {
      const match = characters.slice(index, end).join('')
      result += options.all ? fillTemplate(options.replacement, match) : options.replacement
      previousEnd = end
    }
    if (counts && !options.all) return result + characters.slice(end).join('')
    if (counts && end > index) index = end
    else result += characters[index++] ?? ''
  }
  return result
}
