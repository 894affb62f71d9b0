import { visible } from '@tsbuild/command-line'
import { redact } from '@tsbuild/errors'
import type { BuildEvent } from '@tsbuild/events'

/**
 * The warnings of a build, each once, for after its progress; empty where there are none. Where lint has found something, the
 * last line says where more is said.
 */
export function warningsText(warnings: readonly (BuildEvent & { type: 'warning' })[]): string {
  const lines = new Set(
    warnings.map(({ rule, message, source }) => {
      const place = source === null ? '' : ` (${source.file}:${source.startLine})`
      return `${visible(` - ${rule}: ${redact(message)}${place}`)}\n`
    }),
  )
  if (lines.size === 0) return ''
  const more = warnings.some(({ page }) => page !== undefined)
    ? ' `--check` shows the lines; docs/reference/lint/ has a page for each rule\n'
    : ''
  return `\n ${lines.size} ${lines.size === 1 ? 'warning' : 'warnings'} found:\n${[...lines].join('')}${more}`
}
