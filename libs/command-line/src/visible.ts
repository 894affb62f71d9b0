/**
 * What a terminal would obey instead of showing it: the control characters of ASCII and Latin-1 but for tab and line feed,
 * and the marks that turn the direction of text, with which one text can look like another.
 */
const obeyed = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** The sequences that only colour text, which programs write into their logs for people to see. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape is what they begin with
const colouring = /(\x1b\[[\d;:]{0,32}m)/

/**
 * Makes untrusted text safe to write to a terminal: names, messages and lines of a Dockerfile are shown with what is in them,
 * `\x1b` for an escape. Tabs and line feeds stay. @see spec/security.md CAC-14
 */
export function visible(text: string): string {
  return text.replace(obeyed, (character) => {
    if (character === '\t' || character === '\n') return character
    const code = character.codePointAt(0) ?? 0
    return code > 0xff
      ? `\\u${code.toString(16).padStart(4, '0')}`
      : `\\x${code.toString(16).padStart(2, '0')}`
  })
}

/** As {@link visible} for a line that a step wrote: its colours and carriage returns are its own affair, and stay. */
export function visibleLog(line: string): string {
  return line
    .split(colouring)
    .map((part, index) => (index % 2 === 1 ? part : part.split('\r').map(visible).join('\r')))
    .join('')
}
