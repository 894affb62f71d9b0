import { fail, failTooLong } from './lexer-cursor.ts'

/** One element of a pattern of `${v#p}`, `${v%p}` and `${v/p/r}`. */
export type PatternToken =
  | { readonly kind: 'literal'; readonly character: string }
  | { readonly kind: 'any' | 'star' }

/** Comparisons of one pattern element with one character: about a quarter of a second. A person's pattern and value need a thousand. */
const MAX_STEPS = 5_000_000

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
    if (character === '*') {
      // Several in a row match what one does.
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' })
    } else if (character === '?') tokens.push({ kind: 'any' })
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

/** Where a match begins and ends, in characters. */
interface Match {
  readonly start: number
  readonly end: number
}

/** How a match is looked for. */
interface Search {
  /** The first character it may begin at. */
  readonly from: number
  /** It may begin only there. */
  readonly anchored: boolean
  /** The longest of those that begin first, else the shortest. */
  readonly longest: boolean
}

/** A pattern, ready to be matched, with the steps it has left. */
export interface Matcher {
  readonly tokens: readonly PatternToken[]
  steps: number
}

/** Makes a matcher; all its uses together may cost {@link MAX_STEPS}. */
export function createMatcher(tokens: readonly PatternToken[]): Matcher {
  return { tokens, steps: MAX_STEPS }
}

/** The places in a pattern at which a match can be, each with the earliest character it began at. */
type States = Map<number, number>

/** Adds a state and the one that a `*` lets follow without a character. A state keeps its earliest beginning. */
function addState(states: States, tokens: readonly PatternToken[], at: number, start: number): void {
  const known = states.get(at)
  if (known !== undefined && known <= start) return
  states.set(at, start)
  if (tokens[at]?.kind === 'star') addState(states, tokens, at + 1, start)
}

function advance(matcher: Matcher, states: States, character: string): States {
  const { tokens } = matcher
  matcher.steps -= states.size
  if (matcher.steps < 0) fail('the pattern needs too many steps to be matched')
  const next: States = new Map()
  for (const [state, start] of states) {
    const token = tokens[state]
    if (token === undefined || !matchesOne(token, character)) continue
    addState(next, tokens, token.kind === 'star' ? state : state + 1, start)
  }
  return next
}

/**
 * Finds the first match of a whole pattern. One pass: time grows with text times pattern, and no pattern makes it explode.
 * Wildcards do not cross a line feed.
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` when the matcher has no steps left
 */
function findMatch(matcher: Matcher, text: readonly string[], search: Search): Match | null {
  const { tokens } = matcher
  let states: States = new Map()
  let found: Match | null = null
  for (let index = search.from; index <= text.length; index++) {
    // A later beginning is of no interest once there is a match.
    if (found === null && (!search.anchored || index === search.from)) addState(states, tokens, 0, index)
    const start = states.get(tokens.length)
    if (start !== undefined && (found === null || start <= found.start)) {
      found = { start, end: index }
      if (!search.longest) return found
      for (const [state, began] of states) if (began > start) states.delete(state)
    }
    if (index === text.length || (states.size === 0 && (search.anchored || found !== null))) break
    states = advance(matcher, states, text[index] ?? '')
  }
  return found
}

/** Removes the shortest or longest prefix that matches; the text itself when none does. */
export function removePrefix(matcher: Matcher, text: string, longest: boolean): string {
  const characters = Array.from(text)
  const match = findMatch(matcher, characters, { from: 0, anchored: true, longest })
  return match === null ? text : characters.slice(match.end).join('')
}

/** Removes the shortest or longest suffix that matches; the text itself when none does. */
export function removeSuffix(matcher: Matcher, text: string, longest: boolean): string {
  const characters = Array.from(text).reverse()
  const reversed: Matcher = { tokens: [...matcher.tokens].reverse(), steps: matcher.steps }
  const match = findMatch(reversed, characters, { from: 0, anchored: true, longest })
  return match === null ? text : characters.slice(match.end).reverse().join('')
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
 *
 * @throws {UserError} `ERR_DOCKERFILE_EXPANSION` when the matcher has no steps left or the result grows over `maxLength`
 */
export function replacePattern(
  matcher: Matcher,
  text: string,
  options: { readonly replacement: string; readonly all: boolean; readonly maxLength: number },
): string {
  const characters = Array.from(text)
  let result = ''
  let index = 0
  let previousEnd = -1
  while (index <= characters.length) {
    const match = findMatch(matcher, characters, { from: index, anchored: false, longest: true })
    if (match === null) break
    result += characters.slice(index, match.start).join('')
    // An empty match directly after another match does not count.
    const counts = match.end !== match.start || match.start !== previousEnd
    if (counts) {
      const matched = characters.slice(match.start, match.end).join('')
      result += options.all ? fillTemplate(options.replacement, matched) : options.replacement
      if (result.length > options.maxLength) failTooLong(options.maxLength)
      previousEnd = match.end
      if (!options.all) return result + characters.slice(match.end).join('')
    }
    index = match.end
    if (match.end === match.start) result += characters[index++] ?? ''
  }
  return result + characters.slice(index).join('')
}
