import type { SourceRange } from '@tsbuild/errors'
import type { Dockerfile, Instruction } from '../instruction.ts'
import { trimLineEnd } from '../line-reader.ts'
import { linesOf, wordRangesOf } from '../ranges.ts'

/** The instruction word. */
export function keywordRange({ source, keyword }: Instruction): SourceRange {
  const { startLine, startColumn } = source
  return { ...source, endLine: startLine, endColumn: startColumn + keyword.length }
}

/** The nth argument, from 0; the instruction where it is not found. */
export function argumentRange(dockerfile: Dockerfile, instruction: Instruction, index: number): SourceRange {
  return wordRangesOf(dockerfile, instruction).arguments[index] ?? instruction.source
}

/** The nth flag, from 0; the instruction where it is not found. */
export function flagRange(dockerfile: Dockerfile, instruction: Instruction, index: number): SourceRange {
  return wordRangesOf(dockerfile, instruction).flags[index] ?? instruction.source
}

/** From the first argument to the end of the last; the instruction where they are not found. */
export function argumentsRange(dockerfile: Dockerfile, instruction: Instruction): SourceRange {
  const words = wordRangesOf(dockerfile, instruction).arguments
  const [first, last] = [words[0], words.at(-1)]
  if (first === undefined || last === undefined) return instruction.source
  return { ...first, endLine: last.endLine, endColumn: last.endColumn }
}

/**
 * Where an instruction (comments within it left out, heredoc bodies not) first matches a pattern.
 *
 * @param pattern matched against one line at a time
 * @returns undefined where no line matches
 */
export function matchRange(
  dockerfile: Dockerfile,
  { source }: Instruction,
  pattern: RegExp,
): SourceRange | undefined {
  const all = linesOf(dockerfile)
  for (let number = source.startLine; number <= source.endLine; number++) {
    const line = trimLineEnd(all[number - 1] ?? '')
    if (/^\s*#/.test(line)) continue
    const match = pattern.exec(line)
    if (match === null) continue
    return {
      file: source.file,
      startLine: number,
      startColumn: match.index,
      endLine: number,
      endColumn: match.index + match[0].length,
    }
  }
  return undefined
}

/** A use of a variable that gives nothing where the variable is not set: `$X`, `${X}`, `${X#…}`, but not `${X:-…}`. */
export function variableUse(name: string): RegExp {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`(?<!\\\\)\\$(?:${escaped}(?![\\p{L}\\p{Nd}_])|\\{${escaped}(?=[}#%/])[^}]*\\}?)`, 'u')
}
