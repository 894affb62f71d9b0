import { isBlank, isSpace, leadingSpaces, trimSpace } from './characters.ts'

/** An instruction's line cut into its parts. */
export interface SplitLine {
  /** The instruction word as written. */
  readonly keyword: string
  /** Each `--name[=value]`, unquoted, in order. */
  readonly flags: readonly string[]
  /** The rest, trimmed. */
  readonly rest: string
  /** Offset in the given line at which the last flag ends, or the word when there is none. */
  readonly flagsEnd: number
  /** Offset in the given line at which the part after the flags (and after `--`) begins, before trimming. */
  readonly restOffset: number
}

/** Reads one flag from `start`; null text when it ends the flags (`--`). */
function readFlag(line: string, start: number): { text: string; end: number } {
  let text = ''
  let quote = ''
  let index = start
  for (; index < line.length; index++) {
    const character = line.charAt(index)
    if (quote === '' && isSpace(character)) break
    if (character === quote) quote = ''
    else if (quote === '' && (character === '"' || character === "'")) quote = character
    else if (character === '\\') text += line.charAt(++index)
    else text += character
  }
  return { text, end: Math.min(index, line.length) }
}

/**
 * Cuts an instruction's joined line into word, flags and rest. Flags stand directly after the word and before the first
 * argument; `--` alone ends them. In a flag both kinds of quotes are removed and a backslash, whatever the directive says, takes
 * the next character as it is, within single quotes too.
 *
 * @see spec/dockerfile.md 1.1
 */
export function splitLine(line: string): SplitLine {
  const start = leadingSpaces(line)
  const length = start + trimSpace(line).length
  let index = start
  while (index < length && !isBlank(line.charAt(index))) index++
  const keyword = line.slice(start, index)
  const flags: string[] = []
  let flagsEnd = index
  for (;;) {
    while (isSpace(line.charAt(index))) index++
    if (!line.startsWith('--', index)) break
    const flag = readFlag(line, index)
    index = flag.end
    if (flag.text === '--') break
    flags.push(flag.text)
    flagsEnd = index
  }
  return { keyword, flags, rest: trimSpace(line.slice(index)), flagsEnd, restOffset: index }
}
