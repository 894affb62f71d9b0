/**
 * The blanks that BuildKit's parser knows: Unicode White_Space. Not JavaScript's `\s`, which lacks U+0085 and has U+FEFF.
 * Each is one UTF-16 unit, so texts can be walked by unit.
 */
const SPACES = new Set(
  '\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000',
)

/** Tells whether a UTF-16 unit is Unicode white space. */
export function isSpace(character: string): boolean {
  return SPACES.has(character)
}

/** Tells whether a unit separates plain words: blanks of one line without Unicode's others. */
export function isBlank(character: string): boolean {
  return (
    character === ' ' || character === '\t' || character === '\r' || character === '\v' || character === '\f'
  )
}

/** The number of Unicode white space units at the start of `text`. */
export function leadingSpaces(text: string): number {
  let index = 0
  while (index < text.length && isSpace(text.charAt(index))) index++
  return index
}

/** Removes Unicode white space at both ends. */
export function trimSpace(text: string): string {
  const start = leadingSpaces(text)
  let end = text.length
  while (end > start && isSpace(text.charAt(end - 1))) end--
  return text.slice(start, end)
}

/** Splits at runs of plain blanks (`\t \v \f \r` and space), as `COPY`, `FROM`, `EXPOSE` and `VOLUME` do. No word for an empty text. */
export function splitBlanks(text: string): readonly string[] {
  return text === '' ? [] : text.split(/[\t\v\f\r ]+/)
}
