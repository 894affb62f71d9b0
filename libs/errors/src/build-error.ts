import type { ErrorCode } from './codes.ts'
import type { SourceRange } from './source-range.ts'

/** Who can mend an error: the author of the build, the owner of the machine, or we. */
export type ErrorKind = 'user' | 'environment' | 'internal'

/** What an error may carry besides its code and message. */
export interface BuildErrorOptions {
  /** The place in the Dockerfile. */
  readonly source?: SourceRange | undefined
  /** What to try, one sentence each, readable without colour. */
  readonly hints?: readonly string[] | undefined
  /** The lower-level error. */
  readonly cause?: unknown
  /** Machine-readable facts, for example `{ exitCode: 2 }`. JSON values only. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/**
 * The base of every error that leaves a lib. Test `kind` and `code`, never `instanceof`: two copies of this lib in one
 * program have two classes.
 */
export abstract class BuildError extends Error {
  abstract readonly kind: ErrorKind
  readonly code: ErrorCode
  readonly source: SourceRange | undefined
  readonly hints: readonly string[]
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: BuildErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.source = options.source
    this.hints = options.hints ?? []
    this.details = options.details ?? {}
  }
}

/** The Dockerfile, the flags or the build step is wrong; the user can fix it. */
export class UserError extends BuildError {
  readonly kind = 'user'
}

/** The machine, the network or a remote is at fault. */
export class EnvironmentError extends BuildError {
  readonly kind = 'environment'
}

/** A bug of ours; shown with its stack and a request to report it. */
export class InternalError extends BuildError {
  readonly kind = 'internal'
}

/** Whether a caught value is a {@link BuildError} of this or of another copy of this lib. */
export function isBuildError(value: unknown): value is BuildError {
  return (
    value instanceof Error &&
    'kind' in value &&
    'code' in value &&
    typeof value.code === 'string' &&
    value.code.startsWith('ERR_')
  )
}

/**
 * Gives the error a place in the Dockerfile where it has none yet; other values come back as they are.
 * The returned error is a new one with the same code, hints, details and stack.
 */
export function withSource(error: unknown, source: SourceRange): unknown {
  return isBuildError(error) && error.source === undefined ? changed(error, { source }) : error
}

/** Adds to the details of an error, as {@link withSource} does with its place. */
export function withDetails(error: unknown, details: BuildError['details']): unknown {
  return isBuildError(error) ? changed(error, { details: { ...error.details, ...details } }) : error
}

/** Puts hints before those of an error, as {@link withSource} does with its place. */
export function withHints(error: unknown, hints: readonly string[]): unknown {
  return isBuildError(error) ? changed(error, { hints: [...hints, ...error.hints] }) : error
}

function changed(error: BuildError, change: BuildErrorOptions): BuildError {
  const { source, hints, cause, details } = error
  const options = { source, hints, cause, details, ...change }
  const copy =
    error.kind === 'user'
      ? new UserError(error.code, error.message, options)
      : error.kind === 'environment'
        ? new EnvironmentError(error.code, error.message, options)
        : new InternalError(error.code, error.message, options)
  if (error.stack !== undefined) copy.stack = error.stack
  return copy
}
