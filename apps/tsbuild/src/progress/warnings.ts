import { redact } from '@tsbuild/errors'
import type { BuildEvent } from '@tsbuild/events'

/** The warnings of a build, each once, for after its progress; empty where there are none. */
export function warningsText(warnings: readonly (BuildEvent & { type: 'warning' })[]): string {
  const lines = new Set(
    warnings.map(({ rule, message, source }) => {
      const place = source === null ? '' : ` (line ${source.startLine})`
      return ` - ${rule}: ${redact(message)}${place}\n`
    }),
  )
  if (lines.size === 0) return ''
  return `\n ${lines.size} ${lines.size === 1 ? 'warning' : 'warnings'} found:\n${[...lines].join('')}`
}
