import { type ReportOptions, reportError as report } from '@tsbuild/command-line'

/** Writes an error of this command as text for people. @see docs/reference/errors.md */
export function reportError(error: unknown, options: Omit<ReportOptions, 'program'>): string {
  return report(error, { ...options, program: 'tsbuild' })
}
