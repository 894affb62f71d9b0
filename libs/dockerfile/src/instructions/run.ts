import { splitCsv } from '../csv.ts'
import { parseDuration } from '../duration.ts'
import { type FlagUse, type FlagValues, readFlags } from '../flag-values.ts'
import type { MountFlag, RunInstruction } from '../instruction.ts'
import { type Request, refuse } from '../request.ts'
import { readCommandLine } from './command.ts'

/** Only what can be judged before variables are known: the quoting, and that `from` holds none. */
function readMount(request: Request, { value, index }: FlagUse): MountFlag {
  const at = { flag: index }
  const code = 'ERR_DOCKERFILE_MOUNT_OPTION'
  const texts = splitCsv(value)
  if (typeof texts === 'string') refuse(request, `failed to parse csv mounts: ${texts}`, { code, at })
  const fields = texts.map((text) => {
    const equals = text.indexOf('=')
    if (equals === -1) return { key: text.toLowerCase(), value: null, text }
    return { key: text.slice(0, equals).toLowerCase(), value: text.slice(equals + 1), text }
  })
  if (fields.some((field) => field.key === 'from' && /\$./s.test(field.value ?? ''))) {
    refuse(request, "'from' doesn't support variable expansion, define alias stage instead", { code, at })
  }
  return { text: value, fields, flagIndex: index }
}

function readNetwork(request: Request, flags: FlagValues): RunInstruction['network'] {
  const use = flags.use('network')
  const value = use?.value ?? 'default'
  if (value === 'default' || value === 'none' || value === 'host') return value
  refuse(request, `invalid network mode ${JSON.stringify(value)}`, {
    at: { flag: use?.index ?? 0 },
    hints: ['Use `default`, `none` or `host`.'],
  })
}

function readSecurity(request: Request, flags: FlagValues): RunInstruction['security'] {
  const use = flags.use('security')
  const value = use?.value ?? 'sandbox'
  if (value === 'sandbox' || value === 'insecure') return value
  refuse(request, `security ${JSON.stringify(value)} is not valid`, {
    at: { flag: use?.index ?? 0 },
    hints: ['Use `sandbox` or `insecure`.'],
  })
}

const cacheHint = 'Use `--cache=off`, or `--cache=ttl=24h` with a duration such as `90s`, `30m` or `12h`.'

/** The most that a number of milliseconds holds exactly is far beyond what Go's durations do. */
function readCache(request: Request, flags: FlagValues): number | null {
  const use = flags.use('cache')
  if (use === null) return null
  const at = { flag: use.index }
  if (!request.extensions.includes('cache-control')) {
    const hints = [
      'Add the line `# tsbuild=cache-control` at the top of the Dockerfile, below other directives.',
    ]
    refuse(request, '--cache is an extension of tsbuild', { code: 'ERR_DOCKERFILE_UNKNOWN_FLAG', at, hints })
  }
  if (use.value === 'off') return 0
  const text = /^ttl=(.*)$/s.exec(use.value)?.[1]
  if (text === undefined)
    refuse(request, `invalid cache mode ${JSON.stringify(use.value)}`, { at, hints: [cacheHint] })
  const nanoseconds = parseDuration(text)
  if (typeof nanoseconds === 'string') refuse(request, nanoseconds, { at, hints: [cacheHint] })
  const ms = Math.floor(nanoseconds / 1e6)
  if (ms < 1) {
    const hints = ['Use `--cache=off` for a step that always runs.']
    refuse(request, `a time to live of ${text} is less than a millisecond`, { at, hints })
  }
  return ms
}

/**
 * Parses `RUN`. The options of a mount are judged later by `parseMount`, as they may hold variables.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`, `ERR_DOCKERFILE_MOUNT_OPTION`
 */
export function parseRun(request: Request): RunInstruction {
  const flags = readFlags(request, { text: ['network', 'security', 'cache'], list: ['mount'] })
  const withNul = request.heredocs.find(({ content }) => content.includes('\0'))
  if (withNul !== undefined) refuse(request, `heredoc "${withNul.name}" holds a NUL character`)
  return {
    ...request.base,
    kind: 'run',
    command: readCommandLine(request),
    heredocs: request.heredocs,
    mounts: flags.list('mount').map((use) => readMount(request, use)),
    network: readNetwork(request, flags),
    security: readSecurity(request, flags),
    maxAgeMs: readCache(request, flags),
  }
}
