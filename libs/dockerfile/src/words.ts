import { isSpace } from './characters.ts'
import type { EscapeToken } from './instruction.ts'

/**
 * Splits the text of `ARG`, `ENV` and `LABEL` at blanks outside quotes. Quotes and escapes stay in the words;
 * only an escape character at the very end is dropped. An unclosed quote runs to the end.
 *
 * @see spec/dockerfile.md 1.2
 */
export function splitWords(text: string, escapeToken: EscapeToken): readonly string[] {
  const words: string[] = []
  let start = -1
  let quote = ''
  let end = text.length
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index)
    if (quote === '' && isSpace(character)) {
      if (start !== -1) words.push(text.slice(start, index))
      start = -1
      continue
    }
    if (start === -1) start = index
    if (character === escapeToken && quote !== "'") {
      if (index + 1 === text.length) end = index
      index++
    } else if (character === quote) quote = ''
    else if (quote === '' && (character === '"' || character === "'")) quote = character
  }
  if (start !== -1 && end > start) words.push(text.slice(start, end))
  return words
}
