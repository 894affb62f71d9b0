import type { BuildOptions } from '@tsbuild/builder'
import { badValue, collect, keyValues, oneOf, parseDuration } from '@tsbuild/command-line'
import { didYouMean, UserError } from '@tsbuild/errors'
import { Option } from 'commander'
import { splitCsv } from '../argv/csv.ts'
import {
  type LimitFlags,
  limitOptions,
  parseLimits,
  parseShmSize,
  parseUlimits,
  ulimitOption,
} from '../argv/limits.ts'

/** The flags that say how RUN steps run, as given. */
export interface ExecutionFlags extends LimitFlags {
  readonly resource?: readonly string[]
  readonly ulimit?: readonly string[]
  readonly shmSize?: string
  readonly cgroupParent?: string
  readonly allow?: readonly string[]
  readonly securityOpt?: readonly string[]
  readonly userns?: 'auto'
  readonly timeout?: string
  readonly stepTimeout?: string
  readonly isolation?: string
  readonly onError?: string
}

type ExecutionOptions = Pick<
  BuildOptions,
  | 'allow'
  | 'allowOutputs'
  | 'limits'
  | 'stepLimits'
  | 'ulimits'
  | 'shmSizeBytes'
  | 'cgroupParent'
  | 'security'
  | 'noNewPrivileges'
  | 'userns'
  | 'timeoutMs'
  | 'stepTimeoutMs'
  | 'onError'
>

/** What only steps may have that the caller trusts. */
const entitlements = ['network.host', 'security.insecure'] as const

/** What only outputs may do that the caller trusts: `mode=delete`. */
const localDelete = 'buildx.local.delete'

/** Docker's other ones. */
const foreignEntitlements = ['device', 'fs', 'fs.read', 'fs.write', 'ssh', 'image']

/** The keys of `--resource`, by the flag that says the same of all steps together. */
const resources: Readonly<Record<string, keyof LimitFlags>> = {
  memory: 'memory',
  'memory-swap': 'memorySwap',
  cpus: 'cpus',
  'cpu-shares': 'cpuShares',
  'cpu-period': 'cpuPeriod',
  'cpu-quota': 'cpuQuota',
  'cpuset-cpus': 'cpusetCpus',
  'cpuset-mems': 'cpusetMems',
  'pids-limit': 'pidsLimit',
  'blkio-weight': 'blkioWeight',
}

/** The flags of {@link ExecutionFlags}, those of rights and time first. */
export function executionOptionFlags(runGroup: string, limitGroup: string): readonly Option[] {
  const flag = (group: string, flags: string, description: string): Option =>
    new Option(flags, description).helpGroup(group)
  return [
    flag(
      runGroup,
      '--allow <entitlement>',
      `Let steps ask for ${entitlements.join(' or ')}, or outputs for ${localDelete}; repeatable`,
    ).argParser(collect),
    flag(
      runGroup,
      '--security-opt <option>',
      '`no-new-privileges`, or `minimal` for fewer capabilities; repeatable',
    ).argParser(collect),
    flag(
      runGroup,
      '--userns <mode>',
      '`auto`: as root, give steps a user namespace without rights outside',
    ).argParser(oneOf('--userns', ['auto'])),
    flag(runGroup, '--timeout <time>', 'Give the build up after a time, for example `30m`'),
    flag(runGroup, '--step-timeout <time>', 'Give up a step that runs for longer'),
    flag(runGroup, '--on-error <command>', 'Run a command where a step failed, in the step'),
    new Option('--isolation <technology>').hideHelp(),
    ...limitOptions(limitGroup),
    flag(
      limitGroup,
      '--resource <limits>',
      'The same of each step: `memory=1g,cpus=2,pids-limit=100`; repeatable',
    ).argParser(collect),
    ulimitOption(limitGroup),
    flag(limitGroup, '--shm-size <size>', 'Size of /dev/shm (default: 64m)'),
    flag(limitGroup, '--cgroup-parent <cgroup>', 'The cgroup below which steps run'),
  ]
}

/**
 * Says in the builder's words what the flags ask for.
 *
 * @throws {UserError} `ERR_USAGE` for a malformed value; `ERR_UNSUPPORTED` for what docker can and tsbuild cannot
 */
export function executionOptions(flags: ExecutionFlags): ExecutionOptions {
  refuseIsolation(flags.isolation)
  if (flags.onError?.trim() === '') throw badValue('--on-error', flags.onError, 'a command')
  const time = (name: string, text: string | undefined) =>
    text === undefined ? undefined : parseDuration(name, text)
  return {
    ...allowed(flags.allow ?? []),
    limits: parseLimits(flags),
    stepLimits: parseResources(flags.resource ?? []),
    ulimits: parseUlimits(flags.ulimit ?? []),
    shmSizeBytes: flags.shmSize === undefined ? undefined : parseShmSize(flags.shmSize),
    cgroupParent: flags.cgroupParent === undefined ? undefined : parseCgroup(flags.cgroupParent),
    ...securityOf(flags.securityOpt ?? []),
    userns: flags.userns,
    timeoutMs: time('--timeout', flags.timeout),
    stepTimeoutMs: time('--step-timeout', flags.stepTimeout),
    onError: flags.onError,
  }
}

/** What steps and what outputs may do. */
function allowed(given: readonly string[]): Pick<ExecutionOptions, 'allow' | 'allowOutputs'> {
  const [ofOutputs, ofSteps] = [
    given.filter((text) => text === localDelete),
    given.filter((text) => text !== localDelete),
  ]
  return {
    allow: [...new Set(ofSteps.map(entitlementOf))],
    ...(ofOutputs.length === 0 ? {} : { allowOutputs: [localDelete] }),
  }
}

/** Reads a value of `--allow`. @throws {UserError} `ERR_USAGE`, `ERR_UNSUPPORTED` */
export function entitlementOf(text: string): (typeof entitlements)[number] {
  const known = entitlements.find((entitlement) => entitlement === text)
  if (known !== undefined) return known
  const list = `Known are ${entitlements.join(' and ')}.`
  if (foreignEntitlements.includes(text.split('=')[0] ?? '')) {
    const message = `Cannot use --allow "${text}": tsbuild has nothing that needs it`
    throw new UserError('ERR_UNSUPPORTED', message, { hints: [list] })
  }
  const message = `Cannot use --allow "${text}": there is no such entitlement`
  throw new UserError('ERR_USAGE', message, { hints: [...didYouMean(text, entitlements), list] })
}

/** Later values of a key win, as of flags. */
function parseResources(given: readonly string[]): ExecutionOptions['stepLimits'] {
  const pairs = given.flatMap((text) => splitCsv(text))
  const values = keyValues('--resource', pairs, (name) => {
    throw new UserError('ERR_USAGE', `Cannot use --resource "${name}": expected \`name=value\``)
  })
  const flags = Object.entries(values).map(([name, value]) => {
    const flag = Object.hasOwn(resources, name) ? resources[name] : undefined
    if (flag !== undefined) return [flag, value]
    const names = Object.keys(resources)
    const hints = [...didYouMean(name, names), `Known are ${names.join(', ')}.`]
    throw new UserError('ERR_USAGE', `Cannot use --resource "${name}": there is no such limit`, { hints })
  })
  return parseLimits(Object.fromEntries(flags), (name) => `--resource ${name}`)
}

/** A path below the root of each hierarchy. */
function parseCgroup(text: string): string {
  const names = text.split('/').filter((name) => name !== '')
  if (names.length > 0 && !names.some((name) => name === '.' || name === '..')) return names.join('/')
  throw badValue('--cgroup-parent', text, 'the path of a cgroup, such as `ci/jobs`, without `..`')
}

function securityOf(given: readonly string[]): Pick<ExecutionOptions, 'security' | 'noNewPrivileges'> {
  const options = given.map(securityOption)
  const minimal = options.includes('minimal')
  // The last one counts.
  const privileges = options.findLast((option) => option !== 'minimal')
  return {
    ...(minimal ? { security: 'minimal' } : {}),
    ...(privileges === 'no-new-privileges' ? { noNewPrivileges: true } : {}),
  }
}

function securityOption(text: string): 'minimal' | 'no-new-privileges' | 'new-privileges' {
  if (text === 'minimal') return text
  const [, value] = /^no-new-privileges(?:[:=](true|false))?$/.exec(text) ?? []
  if (text === 'no-new-privileges' || value === 'true') return 'no-new-privileges'
  if (value === 'false') return 'new-privileges'
  const [name = ''] = text.split(/[:=]/)
  if (['seccomp', 'apparmor', 'label', 'systempaths', 'credentialspec'].includes(name)) {
    const message = `Cannot use --security-opt "${text}": the rules of the sandbox cannot be replaced`
    throw new UserError('ERR_UNSUPPORTED', message, {
      hints: [
        'A step that needs everything says `RUN --security=insecure`, and the build `--allow security.insecure`.',
      ],
    })
  }
  const message = `Cannot use --security-opt "${text}": expected \`no-new-privileges\` or \`minimal\``
  throw new UserError('ERR_USAGE', message)
}

/** Docker's words for what a machine with Linux does anyway. */
function refuseIsolation(isolation: string | undefined): void {
  if (isolation === undefined || ['', 'default', 'process'].includes(isolation)) return
  const message = `Cannot use --isolation "${isolation}": there is one kind of isolation, \`default\``
  throw new UserError('ERR_UNSUPPORTED', message)
}
