import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { type BuildError, isBuildError, redact } from '@tsbuild/errors'
import { excerpt } from './excerpt.ts'
import { visible } from './visible.ts'

/** How an error is shown. */
export interface ReportOptions {
  /** What the file of a source range is relative to. */
  readonly cwd: string
  /** Shows the stack of every error, not only of our own bugs. */
  readonly debug: boolean
  /** Its name and version, for the stack of bugs. */
  readonly program: string
  readonly version: string
}

/** Causes are shown this deep; below that is the mechanics of some library. */
const deepestCause = 5

/**
 * Writes an error as text for people: what, where with the lines of the Dockerfile, the last output of a failed step, what
 * caused it, what to try. Credentials are taken out, and nothing in it is an order to a terminal. Ends with a line feed.
 *
 * @see docs/reference/errors.md
 */
export function reportError(error: unknown, options: ReportOptions): string {
  if (!isBuildError(error) || error.kind === 'internal') return bugReport(error, options)
  return joinParts([
    `Error: ${redact(error.message)}  [${error.code}]`,
    ...place(error, options.cwd),
    ...lastLines(error),
    ...causes(error.cause, error.message),
    ...error.hints.map((hint) => `Hint: ${redact(hint)}`),
    ...(options.debug ? [stackOf(error)] : []),
  ])
}

function joinParts(parts: readonly string[]): string {
  return `${visible(parts.join('\n'))}\n`
}

function bugReport(error: unknown, options: ReportOptions): string {
  const message = error instanceof Error ? error.message : String(error)
  const code = isBuildError(error) ? error.code : 'ERR_INTERNAL'
  return joinParts([
    `Error: ${redact(message)}  [${code}]`,
    ...(isBuildError(error) ? place(error, options.cwd) : []),
    ...(error instanceof Error ? causes(error.cause, message) : []),
    stackOf(error),
    `This is a bug of ${options.program}. Please report it with the text above (${options.program} ${options.version}, Node.js ${process.versions.node}, ${process.platform} ${process.arch}).`,
  ])
}

/** The stack without its first lines, which repeat the message. */
function stackOf(error: unknown): string {
  const frames =
    error instanceof Error ? (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : []
  return frames.length === 0 ? '    (no stack)' : redact(frames.join('\n'))
}

function place(error: BuildError, cwd: string): readonly string[] {
  const { source } = error
  if (source === undefined) return []
  const { sourceText } = error.details
  const text = typeof sourceText === 'string' ? sourceText : readText(resolve(cwd, source.file))
  const lines = excerpt(text, source).map(redact)
  return [`${source.file}:${source.startLine}`, ...lines]
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // The place is a help and no more: a Dockerfile that cannot be read any more is shown by its name.
    return undefined
  }
}

/** The step's own words. Their escape sequences would colour the report, so they go. */
function lastLines(error: BuildError): readonly string[] {
  const lines = error.details.lastLines
  if (!Array.isArray(lines) || lines.length === 0) return []
  return ['Last output:', ...lines.map((line) => `  | ${redact(plainText(String(line)))}`)]
}

function plainText(line: string): string {
  const shown = line.replace(/\r+$/, '')
  return stripVTControlCharacters(shown.slice(shown.lastIndexOf('\r') + 1))
}

/** @param said what stands above: a cause that it quotes is not said again */
function causes(cause: unknown, said: string, depth = 0): readonly string[] {
  if (cause === undefined || cause === null || depth === deepestCause) return []
  if (!(cause instanceof Error)) return [`Caused by: ${redact(String(cause))}`]
  const message = cause.message || cause.name
  const deeper = causes(cause.cause, message, depth + 1)
  if (said.includes(message)) return deeper
  const code = isBuildError(cause) ? `  [${cause.code}]` : ''
  return [`Caused by: ${redact(message)}${code}`, ...deeper]
}
