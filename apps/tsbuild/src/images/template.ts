import { UserError } from '@tsbuild/errors'

/** A part of a `--format` template: text, or something of the value. */
type Part = string | { readonly show: 'text' | 'json'; readonly path: readonly string[] }

/**
 * Fills a template in the way of `docker --format`: `{{.name}}`, `{{json .config.labels}}`, `{{index .config.labels "a.b"}}`, `{{"\n"}}`.
 * Names of members are found whatever the case of their first letter, so that docker's templates work where the value is alike.
 * Conditions, loops and functions are not supported.
 *
 * @returns a function from a value to its text
 * @throws {UserError} `ERR_USAGE` for a template that is none
 */
export function parseTemplate(template: string): (value: unknown) => string {
  const parts: Part[] = []
  const plain = (text: string) => text.replaceAll('\\t', '\t').replaceAll('\\n', '\n')
  let rest = template
  for (;;) {
    const start = rest.indexOf('{{')
    if (start < 0) break
    const end = rest.indexOf('}}', start)
    if (end < 0) throw invalid(template, 'a `{{` without its `}}`')
    parts.push(plain(rest.slice(0, start)), parseExpression(template, rest.slice(start + 2, end).trim()))
    rest = rest.slice(end + 2)
  }
  parts.push(plain(rest))
  return (value) =>
    parts.map((part) => (typeof part === 'string' ? part : shown(template, value, part))).join('')
}

/** Whether a `--format` is a template and no word. */
export function isTemplate(format: string): boolean {
  return format.includes('{{')
}

const path = /^(?:\.|(?:\.[A-Za-z_][\w]*)+)$/

function parseExpression(template: string, text: string): Part {
  const literal = /^"((?:[^"\\]|\\.)*)"$/.exec(text)
  if (literal !== null) return JSON.parse(`"${literal[1] ?? ''}"`)
  const [, json, inner = ''] = /^(json\s+)?(.*)$/s.exec(text) ?? []
  const show = json === undefined ? 'text' : 'json'
  const [, indexed, key] = /^\(?index\s+(\S+)\s+"((?:[^"\\]|\\.)*)"\)?$/.exec(inner) ?? []
  const written = indexed ?? inner
  if (!path.test(written)) throw invalid(template, `\`{{${text}}}\``)
  const members = written.split('.').filter((name) => name !== '')
  return { show, path: key === undefined ? members : [...members, JSON.parse(`"${key}"`)] }
}

function shown(template: string, value: unknown, part: Exclude<Part, string>): string {
  let at = value
  for (const name of part.path) {
    const found = member(at, name)
    if (found === undefined) {
      if (typeof at !== 'object' || at === null) return part.show === 'json' ? 'null' : ''
      if (!Object.keys(at).length || part.path.at(-1) === name) return part.show === 'json' ? 'null' : ''
      throw invalid(template, `there is no \`.${name}\``)
    }
    at = found
  }
  return part.show === 'text' && typeof at !== 'object' ? String(at) : JSON.stringify(at)
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  if (Object.hasOwn(value, name)) return Reflect.get(value, name)
  const lower = name.toLowerCase()
  const key = Object.keys(value).find((known) => known.toLowerCase() === lower)
  return key === undefined ? undefined : Reflect.get(value, key)
}

function invalid(template: string, what: string): UserError {
  return new UserError('ERR_USAGE', `Cannot use --format "${template}": ${what} is not supported`, {
    hints: [
      'Supported are `{{.name}}`, `{{json .name}}` and `{{index .name "key"}}`; `--format json` gives everything.',
    ],
  })
}
