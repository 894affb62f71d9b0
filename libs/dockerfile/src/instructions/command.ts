import { isSpace } from '../characters.ts'
import { parseDuration } from '../duration.ts'
import { type FlagUse, readFlags } from '../flag-values.ts'
import type {
  CmdInstruction,
  CommandLine,
  EntrypointInstruction,
  HealthcheckInstruction,
  HealthcheckOptions,
  ShellInstruction,
} from '../instruction.ts'
import { jsonStrings, type Request, refuse } from '../request.ts'

/** The shortest time a health check takes, in nanoseconds. */
const MINIMUM_NS = 1_000_000
const TIME_FLAGS = ['interval', 'timeout', 'start-period', 'start-interval']
const INHERIT: HealthcheckOptions = {
  intervalNs: 0,
  timeoutNs: 0,
  startPeriodNs: 0,
  startIntervalNs: 0,
  retries: 0,
}

/**
 * Reads a command in JSON (exec) or shell form. An empty text is an empty shell command.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a JSON array with something else than strings
 */
export function readCommandLine(request: Request, text = request.rest): CommandLine {
  const args = jsonStrings(request, text)
  return args === null ? { form: 'shell', text } : { form: 'exec', args }
}

/** Parses `CMD`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseCmd(request: Request): CmdInstruction {
  readFlags(request)
  return { ...request.base, kind: 'cmd', command: readCommandLine(request) }
}

/** Parses `ENTRYPOINT`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseEntrypoint(request: Request): EntrypointInstruction {
  readFlags(request)
  return { ...request.base, kind: 'entrypoint', command: readCommandLine(request) }
}

/** Parses `SHELL`. @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG` */
export function parseShell(request: Request): ShellInstruction {
  readFlags(request)
  const command = readCommandLine(request)
  const empty = command.form === 'exec' ? command.args.length === 0 : command.text === ''
  if (empty) refuse(request, 'SHELL requires at least one argument')
  if (command.form === 'shell') {
    refuse(request, 'SHELL requires the arguments to be in JSON form', {
      hints: ['Write `SHELL ["/bin/bash", "-c"]`.'],
    })
  }
  return { ...request.base, kind: 'shell', shell: command.args }
}

function readTime(request: Request, name: string, use: FlagUse | null): number {
  if (use === null || use.value === '') return 0
  const at = { flag: use.index }
  const time = parseDuration(use.value)
  if (typeof time === 'string') refuse(request, time, { at })
  if (time !== 0 && time < MINIMUM_NS) refuse(request, `Interval "${name}" cannot be less than 1ms`, { at })
  return time
}

function readRetries(request: Request, use: FlagUse | null): number {
  if (use === null || use.value === '') return 0
  const at = { flag: use.index }
  if (!/^[+-]?\d+$/.test(use.value))
    refuse(request, `--retries must be a number, not ${JSON.stringify(use.value)}`, { at })
  const retries = Number(use.value)
  if (retries < 0) refuse(request, `--retries cannot be negative (${retries})`, { at })
  if (retries > 0x7fffffff) refuse(request, `--retries is out of range (${use.value})`, { at })
  return retries
}

function readHealthcheckOptions(request: Request): HealthcheckOptions {
  const flags = readFlags(request, { text: [...TIME_FLAGS, 'retries'] })
  const time = (name: string) => readTime(request, name, flags.use(name))
  return {
    intervalNs: time('interval'),
    timeoutNs: time('timeout'),
    startPeriodNs: time('start-period'),
    startIntervalNs: time('start-interval'),
    retries: readRetries(request, flags.use('retries')),
  }
}

/**
 * Parses `HEALTHCHECK`. The known flags have no effect before `NONE`, as in BuildKit.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`, `ERR_DOCKERFILE_UNKNOWN_FLAG`
 */
export function parseHealthcheck(request: Request): HealthcheckInstruction {
  const { base, rest } = request
  if (rest === '') refuse(request, 'HEALTHCHECK requires at least one argument')
  let end = 0
  while (end < rest.length && !isSpace(rest.charAt(end))) end++
  let start = end
  while (isSpace(rest.charAt(start))) start++
  const type = rest.slice(0, end).toUpperCase()
  const command = readCommandLine(request, rest.slice(start))
  const empty = command.form === 'exec' ? command.args.length === 0 : command.text === ''
  const options = readHealthcheckOptions(request)
  if (type === 'NONE') {
    if (!empty) refuse(request, 'HEALTHCHECK NONE takes no arguments')
    return { ...base, kind: 'healthcheck', command: null, options: INHERIT }
  }
  if (type !== 'CMD') refuse(request, `Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`)
  if (empty) refuse(request, 'Missing command after HEALTHCHECK CMD')
  return { ...base, kind: 'healthcheck', command, options }
}
