import { createRequire } from 'node:module'
import type { SourceRange } from '@tsbuild/errors'
import { splitLine } from './flags.ts'
import type { Dockerfile, EscapeToken, Instruction } from './instruction.ts'
import { createLineReader, type LogicalLine, splitLines } from './line-reader.ts'
import { maskInstruction } from './mask.ts'
import type { Place } from './request.ts'

/** The ranges of an instruction's words, in file order. */
export interface WordRanges {
  readonly flags: readonly SourceRange[]
  readonly arguments: readonly SourceRange[]
}

type Ast = typeof import('dockerfile-ast')

let loaded: Ast | undefined

/**
 * Loads dockerfile-ast at its first use, which is when the range of a single word is asked for, so when something is wrong with
 * it: loading takes 17 to 28 ms (8 ms in the bundle), parsing a whole file by our own reader less than 3 ms.
 */
function loadAst(): Ast {
  // A bundler finds the literal call and packs the module, to be run when it is called. Unbundled, an ES module has no `require`.
  loaded ??= (
    typeof require === 'function'
      ? require('dockerfile-ast')
      : createRequire(import.meta.url)('dockerfile-ast')
  ) as Ast
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
  const count = splitLine(line.text).flags.length
  return { flags: words.slice(0, count), arguments: words.slice(count) }
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

/** The physical lines of the files that were asked about: asking about every instruction must not cut the text each time. */
const knownLines = new WeakMap<Dockerfile, readonly string[]>()

/** The physical lines of a file with their ends, cut once. */
export function linesOf(dockerfile: Dockerfile): readonly string[] {
  const lines = knownLines.get(dockerfile) ?? splitLines(dockerfile.text)
  knownLines.set(dockerfile, lines)
  return lines
}

/**
 * The ranges of the words of an instruction, in file order: its flags and its arguments, as `COPY a b` has two. The strings of a
 * JSON form are words too. For a message that points at one of them; costs the loading of dockerfile-ast at its first call.
 */
export function wordRangesOf(dockerfile: Dockerfile, instruction: Instruction): WordRanges {
  const { file, escape: escapeToken } = dockerfile
  const from = { line: instruction.source.startLine - 1, escape: escapeToken }
  const line = createLineReader(linesOf(dockerfile), file, from).next()
  return line === null ? { flags: [], arguments: [] } : wordRanges(line, file, escapeToken)
}
