import { createRequire } from 'node:module'
import type { SourceRange } from '@tsbuild/errors'
import { splitLine } from './flags.ts'
import type { EscapeToken } from './instruction.ts'
import type { LogicalLine } from './line-reader.ts'
import { maskInstruction } from './mask.ts'
import type { Place } from './request.ts'

/** The ranges of an instruction's words, in file order. */
export interface WordRanges {
  readonly flags: readonly SourceRange[]
  readonly arguments: readonly SourceRange[]
}

// Loading dockerfile-ast takes 17 to 28 ms, a tenth of that is all that parsing a file takes: so it is loaded when the range of
// a single word is asked for, which is when something is wrong with it.
const require = createRequire(import.meta.url)
let loaded: typeof import('dockerfile-ast') | undefined

function loadAst(): typeof import('dockerfile-ast') {
  loaded ??= require('dockerfile-ast') as typeof import('dockerfile-ast')
  return loaded
}

/**
 * Finds the words of an instruction in its file by dockerfile-ast, over masked text.
 *
 * @see spec/dependencies.md 1
 */
export function wordRanges(line: LogicalLine, file: string, escapeToken: EscapeToken): WordRanges {
  const { DockerfileParser, ModifiableInstruction } = loadAst()
  const [instruction] = DockerfileParser.parse(maskInstruction(line, escapeToken)).getInstructions()
  if (instruction === undefined) return { flags: [], arguments: [] }
  const flags = instruction instanceof ModifiableInstruction ? instruction.getFlags() : []
  const words = [...flags, ...instruction.getArguments()]
    .map((word) => word.getRange())
    .map(({ start, end }) => ({
      file,
      startLine: line.firstLine + start.line + 1,
      startColumn: start.character,
      endLine: line.firstLine + end.line + 1,
      endColumn: end.character,
    }))
  const split = splitLine(line.text, escapeToken)
  // `--` ends the flags and is neither a flag nor an argument.
  const ended = /(^|\s)--$/.test(line.text.slice(0, split.restOffset).trimEnd()) ? 1 : 0
  return { flags: words.slice(0, split.flags.length), arguments: words.slice(split.flags.length + ended) }
}

/** What the range of a word is looked up in. */
export interface WordSource {
  readonly line: LogicalLine
  readonly file: string
  readonly escape: EscapeToken
  /** The range to give when the word is not found: that of the instruction. */
  readonly fallback: SourceRange
}

/** The exact range of one word of an instruction. */
export function locateWord(source: WordSource, place: Place): SourceRange {
  const ranges = wordRanges(source.line, source.file, source.escape)
  const range = 'flag' in place ? ranges.flags[place.flag] : ranges.arguments[place.argument]
  return range ?? source.fallback
}
