import type { CheckReport, OutlineReport, ReportSource, TargetsReport } from '@tsbuild/builder'
import { redact, type SourceRange } from '@tsbuild/errors'

/** Changes when a field changes its meaning. New fields may come at any time. */
const format = 1

/**
 * The JSON of `--call=check,format=json`. The fields are BuildKit's, so that programs made for buildx can read them; `format`,
 * `code`, `hints` and `unresolved` are ours.
 *
 * @see docs/reference/lint/README.md
 */
export function checkJson({ dockerfile, warnings, error, unresolved }: CheckReport): string {
  return jsonText({
    format,
    warnings: warnings.map(({ rule, summary, page, message, source }) => ({
      ruleName: rule,
      description: summary,
      url: page,
      detail: redact(message),
      location: locationOf(source),
    })),
    sources: [{ filename: dockerfile.file, language: 'Dockerfile', data: base64(dockerfile) }],
    buildError:
      error === undefined
        ? undefined
        : {
            message: redact(error.message),
            code: error.code,
            hints: error.hints.map(redact),
            location: locationOf(error.source ?? null),
          },
    unresolved: unresolved.map(({ reference, reason }) => ({ reference, reason: redact(reason) })),
  })
}

/** The JSON of `--call=outline,format=json`; `format` and `default` are ours. @see docs/reference/lint/README.md */
export function outlineJson({ dockerfile, name, description, args, secrets, ssh }: OutlineReport): string {
  const mounts = (list: OutlineReport['secrets']) =>
    list.map(({ id, required, source }) => ({ name: id, required, location: locationOf(source) }))
  return jsonText({
    format,
    name,
    description,
    args: args.map((arg) => ({
      name: arg.name,
      description: arg.description,
      value: arg.value,
      default: arg.default,
      location: locationOf(arg.source),
    })),
    secrets: mounts(secrets),
    ssh: mounts(ssh),
    sources: [base64(dockerfile)],
  })
}

/** The JSON of `--call=targets,format=json`; `format` and `index` are ours. @see docs/reference/lint/README.md */
export function targetsJson({ dockerfile, targets }: TargetsReport): string {
  return jsonText({
    format,
    targets: targets.map(({ source, default: isDefault, ...target }) => ({
      ...target,
      default: isDefault || undefined,
      location: locationOf(source),
    })),
    sources: [base64(dockerfile)],
  })
}

/** A value as readable JSON with a line feed behind it; members that are undefined are left out. */
export function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function base64({ text }: ReportSource): string {
  return Buffer.from(text).toString('base64')
}

/** Lines count from 1, characters from 0 in UTF-16; the end is exclusive. */
function locationOf(source: SourceRange | null): object | undefined {
  if (source === null) return undefined
  const start = { line: source.startLine, character: source.startColumn }
  const end = { line: source.endLine, character: source.endColumn }
  return { ranges: [{ start, end }] }
}
