/** Reads one element of a class: a character, maybe escaped. The index after it, or -1 when there is none. */
function afterElement(pattern: readonly string[], index: number): number {
  const character = pattern[index]
  if (character === undefined || character === '-' || character === ']') return -1
  const end = character === '\\' ? index + 2 : index + 1
  // Something must follow: at least the bracket that closes the class.
  return end < pattern.length ? end : -1
}

/** The index after the class whose bracket stands before `start`, or -1 when it is malformed. */
function afterClass(pattern: readonly string[], start: number): number {
  let index = pattern[start] === '^' ? start + 1 : start
  for (let first = true; first || pattern[index] !== ']'; first = false) {
    index = afterElement(pattern, index)
    if (index !== -1 && pattern[index] === '-') index = afterElement(pattern, index + 1)
    if (index === -1) return -1
  }
  return index + 1
}

/**
 * What is wrong with a pattern of an ignore file, by the rules of Go's filepath.Match: a class that is empty or not closed, or an
 * escape character at the end. Null when nothing is.
 *
 * @see spec/dockerfile.md 1.7
 */
export function pathPatternProblem(pattern: string): string | null {
  const characters = Array.from(pattern)
  for (let index = 0; index < characters.length; ) {
    const character = characters[index]
    if (character === '\\' && index + 1 === characters.length)
      return 'syntax error in pattern: nothing follows the "\\"'
    if (character !== '[') index += character === '\\' ? 2 : 1
    else {
      index = afterClass(characters, index + 1)
      if (index === -1) return 'syntax error in pattern: a class "[…]" is empty or not closed'
    }
  }
  return null
}
