import { didYouMean, isBuildError, type SourceRange, UserError } from '@tsbuild/errors'
import { trimSpace } from './characters.ts'
import { findUnfit } from './decode.ts'
import { EXTENSIONS } from './directives.ts'
import { type SplitLine, splitLine } from './flags.ts'
import { findHeredocs, type HeredocWord } from './heredoc.ts'

import type {
  Dockerfile,
  Extension,
  Heredoc,
  Instruction,
  InstructionBase,
  LintWarning,
} from './instruction.ts'
import { instructionParsers } from './instructions/table.ts'
import { readJsonForm } from './json-form.ts'
import {
  checkFit,
  createLineReader,
  fileRange,
  type LineReader,
  type LogicalLine,
  lineRange,
  logicalRange,
  splitLines,
  textRange,
  trimLineEnd,
} from './line-reader.ts'
import { locateWord } from './ranges.ts'
import type { Request } from './request.ts'
import { groupStages } from './stages.ts'

const HEREDOC_KEYWORDS = new Set(['add', 'copy', 'run'])

/** Whether bodies may follow this line: only after `RUN`, `COPY`, `ADD` and `ONBUILD` of them, and not in JSON form. */
function takesHeredocs(outer: SplitLine): boolean {
  const inner = outer.keyword.toLowerCase() === 'onbuild' ? splitLine(outer.rest) : outer
  return HEREDOC_KEYWORDS.has(inner.keyword.toLowerCase()) && readJsonForm(inner.rest).kind !== 'strings'
}

/** A body may hold a NUL: it can become a file. */
function checkBodyLine(raw: string, line: number, file: string): void {
  const unfit = findUnfit(raw, true)
  if (unfit === null) return
  const { index, reason, hints } = unfit
  throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot read line ${line + 1}: ${reason}`, {
    source: { file, startLine: line + 1, startColumn: index, endLine: line + 1, endColumn: index + 1 },
    hints,
  })
}

function readBody(reader: LineReader, word: HeredocWord, start: SourceRange): Heredoc {
  const first = reader.position
  const content: string[] = []
  for (let raw = reader.nextRaw(); raw !== null; raw = reader.nextRaw()) {
    const line = trimLineEnd(raw)
    if ((word.stripTabs ? line.replace(/^\t+/, '') : line) === word.name) {
      const { file } = start
      const source = {
        file,
        startLine: first + 1,
        startColumn: 0,
        endLine: reader.position,
        endColumn: 0,
      }
      const end = lineRange(file, reader.position - 1, raw)
      const terminator = { ...end, startColumn: end.endColumn - word.name.length }
      return { ...word, content: content.join(''), source, terminator }
    }
    checkBodyLine(raw, reader.position - 1, start.file)
    content.push(raw)
  }
  throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot read heredoc "${word.name}": unterminated heredoc`, {
    source: start,
    hints: [`End it with a line that holds only \`${word.name}\`.`],
  })
}

function readHeredocs(
  reader: LineReader,
  line: { readonly text: string; readonly split: SplitLine },
  source: SourceRange,
): readonly Heredoc[] {
  const { text, split } = line
  if (!text.includes('<<') || !takesHeredocs(split)) return []
  try {
    return findHeredocs(text).map((word) => readBody(reader, word, source))
  } catch (error) {
    if (!isBuildError(error) || error.code !== 'ERR_DOCKERFILE_EXPANSION') throw error
    throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot read heredoc: ${error.message}`, {
      source,
      cause: error,
    })
  }
}

function emptyLineWarnings(line: LogicalLine, file: string): readonly LintWarning[] {
  return line.emptyLines.slice(0, 1).map((empty) => ({
    rule: 'NoEmptyContinuation',
    message: `Empty continuation line found in: ${line.text}`,
    source: { file, startLine: empty + 1, startColumn: 0, endLine: empty + 1, endColumn: 0 },
  }))
}

/** Everything that parsing one text needs beside the line at hand. */
interface Source {
  readonly file: string
  readonly lines: readonly string[]
  readonly reader: LineReader
  /** Those of the directive, if not given. A trigger may use all: its Dockerfile was asked when its image was built. */
  readonly extensions?: readonly Extension[]
}

function endOfLine({ lines, reader }: Source): { endLine: number; endColumn: number } {
  return { endLine: reader.position, endColumn: trimLineEnd(lines[reader.position - 1] ?? '').length }
}

function refuseUnknown(line: LogicalLine, file: string, keyword: string): never {
  const names = [...instructionParsers.keys()].map((name) => name.toUpperCase())
  const start = line.text.indexOf(keyword)
  throw new UserError(
    'ERR_DOCKERFILE_UNKNOWN_INSTRUCTION',
    `Cannot parse instruction "${keyword}": unknown instruction`,
    {
      source: textRange(line, file, { start, end: start + keyword.length }),
      // No instruction is that long; the distance to a line of noise is not worth its time.
      hints: didYouMean(keyword.slice(0, 32), names),
    },
  )
}

function parseLine(line: LogicalLine, context: Source): Instruction {
  const { file, reader } = context
  checkFit(line, file)
  const commandRange = logicalRange(line, file)
  const split = splitLine(line.text)
  const parser = instructionParsers.get(split.keyword.toLowerCase())
  const locate = (place: Parameters<Request['locate']>[0]) =>
    locateWord({ line, file, escape: reader.escape, fallback: commandRange }, place)
  if (parser === undefined) refuseUnknown(line, file, split.keyword)
  const heredocs = readHeredocs(reader, { text: line.text, split }, commandRange)
  const source = heredocs.length === 0 ? commandRange : { ...commandRange, ...endOfLine(context) }
  const base: InstructionBase = {
    source,
    keyword: split.keyword,
    original: trimSpace(line.text),
    comments: line.comments,
  }
  return parser({
    base,
    escape: reader.escape,
    extensions: context.extensions ?? reader.extensions,
    flags: split.flags,
    rest: split.rest,
    heredocs,
    locate,
  })
}

/**
 * Parses the text of a Dockerfile into typed instructions. Every value is syntax checked and none is expanded. Pure: the same
 * text gives the same result. Time grows with the length of the text.
 *
 * @param text what `decodeText` made of the file's bytes; a byte order mark at the start is skipped
 * @param file the name that ranges carry, as the user knows it
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_INSTRUCTION`, `ERR_DOCKERFILE_UNKNOWN_FLAG`,
 *   `ERR_DOCKERFILE_MOUNT_OPTION`, `ERR_DOCKERFILE_EMPTY`; always with a source range
 * @see spec/dockerfile.md 1.1, 1.2, 1.5
 */
export function parseDockerfile(text: string, file: string): Dockerfile {
  const lines = splitLines(text)
  const reader = createLineReader(lines, file)
  const instructions: Instruction[] = []
  const warnings: LintWarning[] = []
  for (let line = reader.next(); line !== null; line = reader.next()) {
    warnings.push(...emptyLineWarnings(line, file))
    instructions.push(parseLine(line, { file, lines, reader }))
  }
  const whole = fileRange(file, lines)
  if (instructions.length === 0) {
    throw new UserError('ERR_DOCKERFILE_EMPTY', `Cannot parse "${file}": file with no instructions`, {
      source: whole,
      hints: ['A Dockerfile begins with `FROM`, for example `FROM debian:bookworm`.'],
    })
  }
  const { globalArgs, stages } = groupStages(instructions)
  if (stages.length === 0) {
    throw new UserError(
      'ERR_DOCKERFILE_EMPTY',
      `Cannot build "${file}": it has no FROM, so no stage to build`,
      { source: whole },
    )
  }
  const { directives } = reader
  return { file, text, escape: reader.escape, directives, instructions, globalArgs, stages, warnings }
}

/**
 * Parses the trigger of an `ONBUILD` as an image config stores it. The escape character is the backslash.
 *
 * @param source where errors and the instruction are said to be: the `FROM` that runs the trigger
 * @throws {UserError} as {@link parseDockerfile}; `ERR_DOCKERFILE_SYNTAX` when it is not exactly one instruction that a
 *   trigger may be
 * @see spec/dockerfile.md 1.6
 */
export function parseTrigger(expression: string, source: SourceRange): Instruction {
  const lines = splitLines(expression)
  const reader = createLineReader(lines, source.file)
  try {
    const line = reader.next()
    const instruction =
      line === null ? null : parseLine(line, { file: source.file, lines, reader, extensions: EXTENSIONS })
    const refused = instruction === null || ['from', 'onbuild', 'maintainer'].includes(instruction.kind)
    if (refused || reader.next() !== null) {
      throw new UserError(
        'ERR_DOCKERFILE_SYNTAX',
        'onbuild trigger should be a single expression that a trigger may be',
      )
    }
    return { ...instruction, source }
  } catch (error) {
    if (!isBuildError(error) || error.kind !== 'user') throw error
    const message = `Cannot run trigger ${JSON.stringify(expression)}: ${error.message}`
    throw new UserError(error.code, message, { source, hints: error.hints, cause: error })
  }
}
