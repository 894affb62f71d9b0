import { type ErrorCode, type SourceRange, UserError } from '@tsbuild/errors'
import { findUnfit } from './decode.ts'
import type { EscapeToken, Extension, Heredoc, InstructionBase } from './instruction.ts'
import { type JsonForm, readJsonForm } from './json-form.ts'

/** A word of an instruction, by its position among the flags or among the arguments. */
export type Place = { readonly flag: number } | { readonly argument: number }

/** An instruction cut into its parts, as the parsers of the instructions take it. */
export interface Request {
  readonly base: InstructionBase
  readonly escape: EscapeToken
  /** What the Dockerfile switched on of what other builders do not know. */
  readonly extensions: readonly Extension[]
  /** Unquoted flags as written. */
  readonly flags: readonly string[]
  /** The text after the flags, trimmed. */
  readonly rest: string
  readonly heredocs: readonly Heredoc[]
  /** The exact range of a word; called only for errors. */
  readonly locate: (place: Place) => SourceRange
}

/** What is wrong with an instruction. */
export interface Problem {
  /** `ERR_DOCKERFILE_SYNTAX` when left out. */
  readonly code?: ErrorCode
  readonly at?: Place
  readonly hints?: readonly string[]
}

/**
 * Refuses an instruction.
 *
 * @throws {UserError} always, with the range of the word at fault, else of the instruction
 */
export function refuse(request: Request, message: string, problem: Problem = {}): never {
  const { code = 'ERR_DOCKERFILE_SYNTAX', at, hints } = problem
  const source = at === undefined ? request.base.source : request.locate(at)
  throw new UserError(code, `Cannot parse ${request.base.keyword.toUpperCase()}: ${message}`, {
    source,
    hints,
  })
}

/**
 * Reads the rest of an instruction as JSON form; null when it is another form.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a JSON array with something else than strings, or with an escaped NUL or unpaired
 *   surrogate, which no argument or path can be
 */
export function jsonStrings(request: Request, text = request.rest): readonly string[] | null {
  const form: JsonForm = readJsonForm(text)
  if (form.kind === 'not-strings') {
    refuse(request, 'when using JSON array syntax, arrays must be comprised of strings only')
  }
  if (form.kind !== 'strings') return null
  for (const [argument, string] of form.strings.entries()) {
    const unfit = findUnfit(string)
    if (unfit !== null) refuse(request, `in string ${argument + 1} of the JSON array: ${unfit.reason}`)
  }
  return form.strings
}
