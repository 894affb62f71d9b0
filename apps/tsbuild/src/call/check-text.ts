import { stripVTControlCharacters } from 'node:util'
import type { CheckReport, CheckWarning } from '@tsbuild/builder'
import { excerpt, visible } from '@tsbuild/command-line'
import { type BuildError, redact, type SourceRange } from '@tsbuild/errors'

const rule = '-'.repeat(20)

/** The text of `--check`: a sentence, then each finding with its lines, the error of the build, and what was not looked at. */
export function checkText(report: CheckReport): string {
  const { warnings, error, unresolved } = report
  const parts = [
    headline(warnings.length, error !== undefined),
    ...warnings.map((warning) => warningText(warning, report)),
    ...(error === undefined ? [] : [errorText(error, report)]),
    ...unresolved.map(
      ({ reference, reason }) =>
        `NOTE: The rules about the image ${reference} did not run\n${clean(reason)}\n`,
    ),
  ]
  return parts.join('\n')
}

function headline(count: number, failed: boolean): string {
  const found = count === 1 ? '1 warning has' : `${count === 0 ? 'no' : count} warnings have`
  if (count === 0 && !failed) return 'Check complete, no warnings found.\n'
  return `Check complete, ${found} been found${failed ? ', and an error' : ''}!\n`
}

function warningText({ rule: name, page, message, source }: CheckWarning, report: CheckReport): string {
  const title = `WARNING: ${name}${page === undefined ? '' : ` - ${page}`}`
  return [title, clean(message), ...place(source, report), ''].join('\n')
}

function errorText(error: BuildError, report: CheckReport): string {
  const title = `ERROR: ${clean(error.message)}  [${error.code}]`
  const hints = error.hints.map((hint) => `Hint: ${clean(hint)}`)
  return [title, ...place(error.source ?? null, report), ...hints, ''].join('\n')
}

function place(source: SourceRange | null, { dockerfile }: CheckReport): readonly string[] {
  if (source === null) return []
  const lines = source.file === dockerfile.file ? excerpt(dockerfile.text, source) : []
  const at = `${source.file}:${source.startLine}`
  return lines.length === 0 ? [at] : [at, rule, ...lines.map(clean), rule]
}

/** Messages quote the Dockerfile, whose bytes are not for the terminal to obey. */
function clean(text: string): string {
  return shown(redact(text))
}

function shown(text: string): string {
  return visible(stripVTControlCharacters(text))
}
