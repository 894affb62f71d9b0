import { UserError } from '@tsbuild/errors'
import { trimSpace } from './characters.ts'
import { findUnfit } from './decode.ts'
import { lineRange, splitLines, trimLineEnd } from './line-reader.ts'
import { pathPatternProblem } from './path-pattern.ts'

/** One rule of an ignore file. The last rule that matches a path decides. */
export interface IgnoreRule {
  /** Cleaned, without the `!` and a leading `/`; its brackets and escapes are closed. */
  readonly pattern: string
  /** Written with `!`: what matches is in again. */
  readonly negated: boolean
  /** Counted from 1. */
  readonly line: number
}

/** What Go's filepath.Clean does: drops `.` and doubled slashes, resolves `..` by its text. */
function cleanPath(path: string): string {
  const rooted = path.startsWith('/')
  const kept: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') kept.push(part)
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop()
    else if (!rooted) kept.push(part)
  }
  const cleaned = kept.join('/')
  return rooted ? `/${cleaned}` : cleaned || '.'
}

/** A line without its blanks, cut at a leading `!`. */
function readPattern(trimmed: string): Omit<IgnoreRule, 'line'> {
  const marked = trimmed.startsWith('!')
  const path = marked ? trimSpace(trimmed.slice(1)) : trimmed
  const cleaned = path === '' ? '' : cleanPath(path)
  const relative = cleaned.length > 1 ? cleaned.replace(/^\//, '') : cleaned
  // The original looks for the `!` again in what was cleaned, so `./!x` takes back as well, and `!/` is a bare `!`.
  if (marked) return { pattern: relative === '/' ? '' : relative, negated: true }
  return relative.startsWith('!')
    ? { pattern: relative.slice(1), negated: true }
    : { pattern: relative, negated: false }
}

/** What is wrong with a rule, or null. */
function problemOf(written: string, { pattern }: Omit<IgnoreRule, 'line'>): string | null {
  if (pattern === '') return 'it needs a path after the "!"'
  return findUnfit(written)?.reason ?? pathPatternProblem(pattern)
}

/**
 * Reads the text of a `.dockerignore`. Patterns that lead out of the context make no rule, as they hit nothing.
 *
 * @param text what `decodeText` made of the file's bytes
 * @param file the name that errors carry
 * @throws {UserError} `ERR_IGNORE_SYNTAX` for a `!` without a pattern, a malformed pattern, a NUL or bytes that are no UTF-8; with
 *   the range of the line
 * @see spec/dockerfile.md 1.7
 */
export function parseIgnore(text: string, file = '.dockerignore'): readonly IgnoreRule[] {
  const rules: IgnoreRule[] = []
  splitLines(text.replace(/^\ufeff/, '')).forEach((raw, index) => {
    const written = trimLineEnd(raw)
    // A `#` is a comment only in the first column.
    if (written.startsWith('#')) return
    const trimmed = trimSpace(written)
    if (trimmed === '') return
    const rule = readPattern(trimmed)
    const problem = problemOf(written, rule)
    if (problem !== null) {
      throw new UserError(
        'ERR_IGNORE_SYNTAX',
        `Cannot read pattern ${JSON.stringify(trimmed)} in line ${index + 1}: ${problem}`,
        { source: lineRange(file, index, raw) },
      )
    }
    // What is above the context is not in it, so there is nothing to say about it.
    if (!/^\.\.(?:\/|$)/.test(rule.pattern)) rules.push({ ...rule, line: index + 1 })
  })
  return rules
}

/** An ignore file to look for: beside the Dockerfile, or at the root of the context. */
export interface IgnoreFileName {
  readonly from: 'dockerfile' | 'context'
  /** Relative to where the Dockerfile's path is, or to the root of the context. */
  readonly path: string
}

/**
 * Where the ignore rules of a build may be, best first: `<Dockerfile path>.dockerignore`, then `.dockerignore` of the context.
 * The first that exists is taken; they are never merged.
 *
 * @see spec/dockerfile.md 1.7
 */
export function ignoreFileNames(dockerfilePath: string): readonly IgnoreFileName[] {
  return [
    { from: 'dockerfile', path: `${dockerfilePath}.dockerignore` },
    { from: 'context', path: '.dockerignore' },
  ]
}
