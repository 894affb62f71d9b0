import { isBuildError, redact, type SourceRange } from '@tsbuild/errors'
import type { BuildFailure, Excerpt } from './types.ts'

/** Lines kept before and after the place of an error. */
const around = 2
/** Of a longer place only the beginning is kept. */
const longest = 12

/** An error as history has it, credentials taken out. */
export function failureOf(error: unknown): BuildFailure {
  const message = redact(error instanceof Error ? error.message : String(error))
  if (!isBuildError(error))
    return { kind: 'internal', code: 'ERR_INTERNAL', message, hints: [], source: null, excerpt: null }
  const { kind, code, source = null, details } = error
  const { sourceText } = details
  const excerpt = typeof sourceText === 'string' && source !== null ? excerptOf(sourceText, source) : null
  return { kind, code, message, hints: error.hints.map(redact), source, excerpt }
}

function excerptOf(text: string, { startLine, endLine }: SourceRange): Excerpt | null {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (startLine < 1 || startLine > lines.length) return null
  const first = Math.max(1, startLine - around)
  const last = Math.min(lines.length, Math.min(endLine, startLine + longest - 1) + around)
  const kept = lines.slice(first - 1, last).map((line) => redact(line.replace(/\r$/, '')))
  return { firstLine: first, lines: kept }
}
