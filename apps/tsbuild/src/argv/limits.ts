import type { StepLimits } from '@tsbuild/builder'
import { badValue, collect, parseSize, parseWhole } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Option } from 'commander'

/** The values of the flags that limit what processes use, as given. Names and forms are those of docker. */
export interface LimitFlags {
  readonly memory?: string
  readonly memorySwap?: string
  readonly cpus?: string
  readonly cpuShares?: string
  readonly cpuPeriod?: string
  readonly cpuQuota?: string
  readonly cpusetCpus?: string
  readonly cpusetMems?: string
  readonly pidsLimit?: string
  readonly blkioWeight?: string
}

/** `name=soft:hard` of `--ulimit`; undefined is unlimited. */
export interface UlimitFlag {
  readonly name: string
  readonly soft: number | undefined
  readonly hard: number | undefined
}

/** As little as docker takes. */
const leastMemory = 6 * 1024 ** 2
/** What `--cpus` is counted in, docker's and the kernel's default. */
const periodMicros = 100_000
/** The kernel has no more (`PID_MAX_LIMIT`): the same as no limit, where no limit given would mean the default. */
const mostPids = 4 * 1024 ** 2

const ulimitNames = [
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack',
]

/** The flags of {@link LimitFlags}, for a command's parser. */
export function limitOptions(group: string): readonly Option[] {
  const flags: readonly (readonly [string, string])[] = [
    ['-m, --memory <size>', 'Most memory, for example `512m` or `2g`'],
    ['--memory-swap <size>', 'Most memory and swap together; -1 is no limit (default: twice --memory)'],
    ['--cpus <number>', 'Most processors, for example `1.5`'],
    ['-c, --cpu-shares <shares>', 'Weight against others, 2 to 262144 (1024 is usual)'],
    ['--cpu-period <micros>', 'What --cpu-quota is counted in: 1000 to 1000000 microseconds'],
    ['--cpu-quota <micros>', 'Most processor time in each period; -1 is no limit'],
    ['--cpuset-cpus <list>', 'The processors to use, for example `0-3,5`'],
    ['--cpuset-mems <list>', 'The memory nodes to use, for example `0,1`'],
    ['--pids-limit <number>', 'Most processes and threads; -1 is no limit'],
    ['--blkio-weight <weight>', 'Weight of block I/O against others, 10 to 1000'],
  ]
  return flags.map(([names, description]) => new Option(names, description).helpGroup(group))
}

/** The flag `--ulimit`, whose values {@link parseUlimits} reads. */
export function ulimitOption(group: string): Option {
  return new Option('--ulimit <limit>', '`name=soft[:hard]`, for example `nofile=1024:4096`; repeatable')
    .argParser(collect)
    .helpGroup(group)
}

/**
 * Reads the limits that flags give, by docker's rules: memory and swap together is twice the memory where it is not given,
 * `--cpus` stands for a period and a quota, 0 is as if the flag was not given, and -1 is no limit where docker says so.
 *
 * @param nameOf how to call a limit in an error: its flag, or its key in `--resource`
 * @returns undefined if nothing is limited
 * @throws {UserError} `ERR_USAGE` if a value is not what the flag takes, or two contradict each other
 */
export function parseLimits(
  flags: LimitFlags,
  nameOf: (name: string) => string = (name) => `--${name}`,
): StepLimits | undefined {
  const whole = (name: string, text: string | undefined, least: number, most: number) =>
    text === undefined || text === '0' ? undefined : parseWhole(nameOf(name), text, [least, most])
  const list = (name: string, text: string | undefined) =>
    text === undefined || text === '' ? undefined : parseNumberList(nameOf(name), text)
  const limits: StepLimits = {
    ...memoryLimits(flags, nameOf),
    ...cpuTime(flags, nameOf),
    cpuShares: whole('cpu-shares', flags.cpuShares, 2, 262_144),
    cpusetCpus: list('cpuset-cpus', flags.cpusetCpus),
    cpusetMems: list('cpuset-mems', flags.cpusetMems),
    pids: flags.pidsLimit === '-1' ? mostPids : whole('pids-limit', flags.pidsLimit, 1, mostPids),
    ioWeight: whole('blkio-weight', flags.blkioWeight, 10, 1000),
  }
  return Object.values(limits).every((limit) => limit === undefined) ? undefined : limits
}

function memoryLimits(
  { memory, memorySwap }: LimitFlags,
  nameOf: (name: string) => string,
): Pick<StepLimits, 'memoryBytes' | 'memorySwapBytes'> {
  const [memoryName, swapName] = [nameOf('memory'), nameOf('memory-swap')]
  const memoryBytes = memory === undefined ? 0 : parseSize(memoryName, memory)
  const swapBytes = memorySwap === undefined || memorySwap === '-1' ? 0 : parseSize(swapName, memorySwap)
  if (memoryBytes > 0 && memoryBytes < leastMemory) throw badValue(memoryName, memory ?? '', '6m or more')
  if (memoryBytes === 0) {
    if (swapBytes === 0) return {}
    throw new UserError('ERR_USAGE', `Cannot use ${swapName} without ${memoryName}`, {
      hints: [`${swapName} counts memory and swap together: say how much of it is memory.`],
    })
  }
  if (memorySwap === '-1') return { memoryBytes }
  if (swapBytes === 0) return { memoryBytes, memorySwapBytes: 2 * memoryBytes }
  if (swapBytes < memoryBytes)
    throw badValue(swapName, memorySwap ?? '', `at least ${memory}: memory and swap are counted together`)
  return { memoryBytes, memorySwapBytes: swapBytes }
}

function cpuTime(
  { cpus, cpuPeriod, cpuQuota }: LimitFlags,
  nameOf: (name: string) => string,
): Pick<StepLimits, 'cpuPeriodMicros' | 'cpuQuotaMicros'> {
  if (cpus === undefined || cpus === '0') {
    const given = (text: string | undefined) => (text === '0' || text === '-1' ? undefined : text)
    const [period, quota] = [cpuPeriod === '0' ? undefined : cpuPeriod, given(cpuQuota)]
    return {
      ...(period === undefined
        ? {}
        : { cpuPeriodMicros: parseWhole(nameOf('cpu-period'), period, [1000, 1_000_000]) }),
      ...(quota === undefined
        ? {}
        : { cpuQuotaMicros: parseWhole(nameOf('cpu-quota'), quota, [1000, Number.MAX_SAFE_INTEGER]) }),
    }
  }
  const other = cpuPeriod === undefined ? (cpuQuota === undefined ? undefined : 'cpu-quota') : 'cpu-period'
  if (other !== undefined)
    throw new UserError(
      'ERR_USAGE',
      `Cannot use both ${nameOf('cpus')} and ${nameOf(other)}: they say the same`,
    )
  const quota = /^\d*\.?\d+$/.test(cpus) ? Math.round(Number(cpus) * periodMicros) : Number.NaN
  if (quota >= 1000 && Number.isSafeInteger(quota))
    return { cpuPeriodMicros: periodMicros, cpuQuotaMicros: quota }
  throw badValue(nameOf('cpus'), cpus, 'a number of processors from 0.01 on, such as `1.5`')
}

/** `0-3,5`, as the kernel reads it. */
function parseNumberList(flag: string, text: string): string {
  const isRange = (part: string) => {
    const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? []
    return first !== undefined && (last === undefined || Number(first) <= Number(last))
  }
  if (text.split(',').every(isRange)) return text
  throw badValue(flag, text, 'numbers and ranges such as `0-3,5`')
}

/**
 * Parses the values of `--ulimit`: `nofile=1024:4096`, or one number for both; -1 is unlimited. The last one of a name wins.
 *
 * @throws {UserError} `ERR_USAGE` if a value is not of that form, or the soft limit is above the hard one
 */
export function parseUlimits(values: readonly string[]): readonly UlimitFlag[] {
  return [...new Map(values.map(parseUlimit).map((ulimit) => [ulimit.name, ulimit])).values()]
}

function parseUlimit(text: string): UlimitFlag {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-1|\d{1,16})(?::(-1|\d{1,16}))?$/.exec(text) ?? []
  if (name === undefined || soft === undefined || hard === undefined)
    throw badValue('--ulimit', text, '`name=soft[:hard]`, for example `nofile=1024:4096`')
  if (!ulimitNames.includes(name))
    throw badValue('--ulimit', text, `one of the names ${ulimitNames.join(', ')}`)
  const [low, high] = [Number(soft), Number(hard)].map((limit) =>
    limit < 0 ? Number.POSITIVE_INFINITY : limit,
  )
  if (low === undefined || high === undefined || low > high)
    throw badValue('--ulimit', text, `a soft limit that is not above the hard one`)
  const finite = (limit: number) => (limit === Number.POSITIVE_INFINITY ? undefined : limit)
  return { name, soft: finite(low), hard: finite(high) }
}

/**
 * Parses the value of `--shm-size`.
 *
 * @returns bytes
 * @throws {UserError} `ERR_USAGE` if it is no size above 0
 */
export function parseShmSize(text: string): number {
  const bytes = parseSize('--shm-size', text)
  if (bytes === 0) throw badValue('--shm-size', text, 'a size above 0')
  return bytes
}
