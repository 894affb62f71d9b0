import { isBuildError, type SourceRange } from '@tsbuild/errors'
import type { Dockerfile, Heredoc, Instruction } from '../instruction.ts'
import { parseDockerfile } from '../parse.ts'
import { wordRangesOf } from '../ranges.ts'

/** A place in a text that can be compared. */
function place(line: number, column: number): number {
  return line * 2 ** 20 + column
}

const startOf = (range: SourceRange) => place(range.startLine, range.startColumn)
const endOf = (range: SourceRange) => place(range.endLine, range.endColumn)

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(`Cannot be right: ${what}`)
}

/** The text at a range. */
function textAt(text: string, range: SourceRange): string {
  const lines = text.split('\n').slice(range.startLine - 1, range.endLine)
  const last = (lines.pop() ?? '').slice(0, range.endColumn)
  return [...lines, last].join('\n').slice(range.startColumn)
}

/** Demands that a range lies in a text and does not end before it begins. */
function checkRange(range: SourceRange, lines: readonly string[], what: string): void {
  const inLine = (line: number, column: number) => column >= 0 && column <= (lines[line - 1]?.length ?? -1)
  demand(startOf(range) <= endOf(range), `${what} ends before it begins`)
  demand(inLine(range.startLine, range.startColumn), `${what} begins outside of the text`)
  demand(inLine(range.endLine, range.endColumn), `${what} ends outside of the text`)
}

/** Demands that ranges follow each other within another one. */
function checkSequence(outer: SourceRange, ranges: readonly SourceRange[], what: string): void {
  let previous = startOf(outer)
  for (const range of ranges) {
    demand(startOf(range) >= previous, `${what} begins before what precedes it ends`)
    previous = endOf(range)
  }
  demand(previous <= endOf(outer), `${what} ends after what holds it`)
}

function heredocsOf(instruction: Instruction): readonly Heredoc[] {
  return 'heredocs' in instruction ? instruction.heredocs : []
}

/** Without what depends on where it stands. */
function contentOf(instruction: Instruction): unknown {
  return JSON.parse(
    JSON.stringify(instruction, (key, value: unknown) =>
      ['source', 'terminator', 'comments', 'description'].includes(key) ? undefined : value,
    ),
  )
}

function checkReparse(dockerfile: Dockerfile, instruction: Instruction): void {
  const directive = dockerfile.directives
    .filter(({ name }) => name === 'escape' || name === 'tsbuild')
    .map(({ name, value }) => `# ${name}=${value}\n`)
    .join('')
  const slice = textAt(dockerfile.text, instruction.source)
  const head = instruction.kind === 'from' ? '' : 'FROM a\n'
  const again = parseDockerfile(`${directive}${head}${slice}`, dockerfile.file).instructions
  const found = again[head === '' ? 0 : 1]
  const same =
    found !== undefined && JSON.stringify(contentOf(found)) === JSON.stringify(contentOf(instruction))
  demand(
    again.length === (head === '' ? 1 : 2) && same,
    `parsing ${JSON.stringify(slice)} alone gives something else`,
  )
}

/** The words of instructions that are neither quoted nor JSON, as the parser has them. */
function plainWords(instruction: Instruction): readonly string[] | null {
  if (instruction.kind === 'expose') return instruction.ports
  if (instruction.kind !== 'from' || instruction.stageNameText === null) return null
  return [instruction.image, instruction.asKeyword ?? '', instruction.stageNameText]
}

function checkWords(dockerfile: Dockerfile, instruction: Instruction, lines: readonly string[]): void {
  const ranges = wordRangesOf(dockerfile, instruction)
  const all = [...ranges.flags, ...ranges.arguments]
  for (const range of all) checkRange(range, lines, 'a word')
  checkSequence(instruction.source, all, 'a word')
  const words = plainWords(instruction)
  if (words === null) return
  demand(words.length === ranges.arguments.length, 'there are as many ranges as words')
  for (const [index, range] of ranges.arguments.entries()) {
    // A word that goes over several lines holds the escape characters, comments and line ends between its parts.
    const joined = range.startLine === range.endLine ? textAt(dockerfile.text, range) : words[index]
    demand(joined === words[index], `the range of ${words[index]} holds ${joined}`)
  }
}

function checkDockerfile(dockerfile: Dockerfile): void {
  const lines = dockerfile.text.split('\n')
  const last = lines.length
  const whole = {
    file: '',
    startLine: 1,
    startColumn: 0,
    endLine: last,
    endColumn: lines[last - 1]?.length ?? 0,
  }
  for (const { source } of [...dockerfile.directives, ...dockerfile.warnings])
    checkRange(source, lines, 'a line')
  for (const instruction of dockerfile.instructions) {
    checkRange(instruction.source, lines, 'an instruction')
    const heredocs = heredocsOf(instruction).flatMap(({ source, terminator }) => [source, terminator])
    for (const range of heredocs) checkRange(range, lines, 'a heredoc')
    checkSequence(instruction.source, heredocs, 'a heredoc')
    for (const { source, content } of heredocsOf(instruction)) {
      demand(textAt(dockerfile.text, source) === content, 'the range of a heredoc holds its body')
    }
    checkWords(dockerfile, instruction, lines)
    checkReparse(dockerfile, instruction)
  }
  checkSequence(
    whole,
    dockerfile.instructions.map(({ source }) => source),
    'an instruction',
  )
}

/**
 * Parses a text and demands what holds for every text: the error is one of the user and has a range in the text; ranges lie in the
 * text, in order, the inner ones in the outer ones, and hold what was read from there; an instruction means the same alone.
 * Gives the number of instructions; 0 when the text is refused.
 */
export function checkParse(text: string): number {
  let dockerfile: Dockerfile
  try {
    dockerfile = parseDockerfile(text, 'Dockerfile')
  } catch (error) {
    if (!isBuildError(error) || error.kind !== 'user' || error.source === undefined) throw error
    checkRange(error.source, text.split('\n'), 'an error')
    return 0
  }
  checkDockerfile(dockerfile)
  return dockerfile.instructions.length
}
