import type { Option } from 'commander'

const truths = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const lies = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

/**
 * Rewrites the two forms that Docker's flags take and commander does not: `--pull=true` and `--pull=false` of a flag
 * without a value, and `-t=name` of a short flag with one. Everything else, and all from `--` on, stays as it is.
 */
export function goBooleans(argv: readonly string[], options: readonly Option[]): readonly string[] {
  const out: string[] = []
  for (let at = 0; at < argv.length; at++) {
    const arg = argv[at] ?? ''
    if (arg === '--') return [...out, ...argv.slice(at)]
    const equals = arg.indexOf('=')
    const name = equals < 0 ? arg : arg.slice(0, equals)
    const option = options.find((candidate) => candidate.long === name || candidate.short === name)
    if (option === undefined) out.push(arg)
    else if (!option.required && !option.optional) out.push(...booleanFlag(arg, name))
    else if (equals < 0) {
      out.push(arg, ...argv.slice(at + 1, at + 2))
      at++
    } else if (option.short === name) out.push(name, arg.slice(equals + 1))
    else out.push(arg)
  }
  return out
}

/** A truth value as Go's flags and BuildKit's attributes take it; undefined for what is none. */
export function goBoolean(text: string): boolean | undefined {
  if (truths.has(text)) return true
  return lies.has(text) ? false : undefined
}

function booleanFlag(arg: string, name: string): readonly string[] {
  if (arg === name) return [arg]
  const value = arg.slice(name.length + 1)
  if (truths.has(value)) return [name]
  return lies.has(value) ? [] : [arg]
}
