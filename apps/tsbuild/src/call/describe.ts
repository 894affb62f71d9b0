import { formatTable } from '@tsbuild/command-line'
import { jsonText } from './json.ts'

/** What can be asked of a Dockerfile, under BuildKit's names. The flag takes them with `frontend.` and without it. */
const requests: readonly { readonly name: string; readonly description: string }[] = [
  { name: 'frontend.lint', description: 'What lint finds, and what would end the build; also `check`' },
  { name: 'frontend.outline', description: 'What the target can be given: arguments, secrets, ssh agents' },
  { name: 'frontend.targets', description: 'The stages, their bases, and which one is the default' },
  { name: 'frontend.subrequests.describe', description: 'This list' },
]

/** Of the answers, as BuildKit counts it. */
const version = '1.0.0'

/** The text of `--call=subrequests.describe`: a table of what can be asked for. */
export function describeText(): string {
  return formatTable([
    ['NAME', 'VERSION', 'DESCRIPTION'],
    ...requests.map(({ name, description }) => [name.replace('frontend.', ''), version, description]),
  ])
}

/** The JSON of `--call=subrequests.describe,format=json`: a list, as in BuildKit. @see docs/reference/lint/README.md */
export function describeJson(): string {
  return jsonText(requests.map(({ name, description }) => ({ name, version, type: 'rpc', description })))
}
