import type { SourceRange } from '@tsbuild/errors'
import { visible } from './visible.ts'

/** Lines shown before and after the range. */
const around = 2
/** Of a longer range only the head is shown. */
const longest = 12

/**
 * The lines of a text around a range, numbered, those of the range marked with `>>>`; none where there is no text or it
 * has no such lines (it changed since it was parsed).
 */
export function excerpt(text: string | undefined, range: SourceRange): readonly string[] {
  if (text === undefined) return []
  const lines = linesOf(text)
  if (range.startLine < 1 || range.startLine > lines.length) return []
  const end = Math.min(range.endLine, lines.length)
  const shownEnd = Math.min(end, range.startLine + longest - 1)
  const first = Math.max(1, range.startLine - around)
  const last = shownEnd < end ? shownEnd : Math.min(lines.length, end + around)
  const width = Math.max(4, String(last).length)
  const out: string[] = []
  for (let number = first; number <= last; number++) {
    const mark = number >= range.startLine && number <= end ? '>>>' : '   '
    out.push(
      `${String(number).padStart(width)} | ${mark} ${visible((lines[number - 1] ?? '').replace(/\r$/, ''))}`.trimEnd(),
    )
  }
  if (shownEnd < end) out.push(`${' '.repeat(width)} | >>> … ${end - shownEnd} more lines`)
  return out
}

let latest: { readonly text: string; readonly lines: readonly string[] } | undefined

/** Thousands of findings are mostly about one file, which is taken apart once. */
function linesOf(text: string): readonly string[] {
  if (latest?.text === text) return latest.lines
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  latest = { text, lines }
  return lines
}
