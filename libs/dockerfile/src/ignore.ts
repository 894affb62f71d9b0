import { UserError } from '@tsbuild/errors'
import { trimSpace } from './characters.ts'
import { splitLines, trimLineEnd } from './line-reader.ts'

/** One rule of an ignore file. The last rule that matches a path decides. */
export interface IgnoreRule {
  /** Cleaned, without the `!` and a leading `/`. Not yet a checked pattern. */
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

/**
 * Reads the text of a `.dockerignore`.
 *
 * @param file the name that errors carry
 * @throws {UserError} `ERR_IGNORE_SYNTAX` for a `!` without a pattern
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
    const negated = trimmed.startsWith('!')
    const path = negated ? trimSpace(trimmed.slice(1)) : trimmed
    if (path === '') {
      throw new UserError(
        'ERR_IGNORE_SYNTAX',
        `Cannot read pattern "!" in line ${index + 1}: it needs a path after the "!"`,
        {
          source: {
            file,
            startLine: index + 1,
            startColumn: 0,
            endLine: index + 1,
            endColumn: written.length,
          },
        },
      )
    }
    const cleaned = cleanPath(path)
    rules.push({
      pattern: cleaned.length > 1 ? cleaned.replace(/^\//, '') : cleaned,
      negated,
      line: index + 1,
    })
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
