import { EnvironmentError } from '@tsbuild/errors'
import type { Exceeded, Limits, SessionCgroup, SessionParts } from '@tsbuild/native'

type LimitName = keyof Limits

interface LimitRow {
  /** Without its `--`; also the key of `--resource`. */
  readonly flag: string
  /** Any of these controllers enforces it. */
  readonly controllers: readonly string[]
}

const rows: Readonly<Record<LimitName, LimitRow>> = {
  memoryBytes: { flag: 'memory', controllers: ['memory'] },
  memorySwapBytes: { flag: 'memory-swap', controllers: ['memory'] },
  cpuShares: { flag: 'cpu-shares', controllers: ['cpu'] },
  cpuPeriodMicros: { flag: 'cpu-period', controllers: ['cpu'] },
  cpuQuotaMicros: { flag: 'cpu-quota', controllers: ['cpu'] },
  cpusetCpus: { flag: 'cpuset-cpus', controllers: ['cpuset'] },
  cpusetMems: { flag: 'cpuset-mems', controllers: ['cpuset'] },
  pids: { flag: 'pids-limit', controllers: ['pids'] },
  ioWeight: { flag: 'blkio-weight', controllers: ['blkio', 'io'] },
}

const names = Object.keys(rows) as readonly LimitName[]

/** The limits asked for, and the defaults where nothing is. */
export function withDefaults(limits: Limits, defaults: Limits): Limits {
  const chosen = names.map((name) => [name, limits[name] ?? defaults[name]])
  return Object.fromEntries(chosen) as unknown as Limits
}

/** See {@link assertEnforced}. */
export interface WantedLimits {
  readonly limits: Limits
  readonly processLimits: Limits
}

/**
 * Compares the limits that were asked for with what a session can enforce. Defaults are not looked at: a machine without
 * cgroups builds without them.
 *
 * @throws {EnvironmentError} `ERR_CGROUP` for the first one that cannot be had
 */
export function assertEnforced({ limits, processLimits }: WantedLimits, parts: SessionParts): void {
  for (const name of names) {
    if (isAsked(limits, name)) {
      const refused = parts.unlimited.find(({ limit }) => limit === name)
      if (refused !== undefined) throw cannotLimit(`--${rows[name].flag}`, refused.reason)
    }
    if (isAsked(processLimits, name) && !isControlled(parts.cgroups, name)) {
      const reason = `no ${rows[name].controllers.join(' or ')} controller can be used here`
      throw cannotLimit(`--resource ${rows[name].flag}`, reason)
    }
  }
}

/** Twice the memory is what docker makes of `--memory` alone: nobody asked for it. */
function isAsked(limits: Limits, name: LimitName): boolean {
  const implied = name === 'memorySwapBytes' && limits.memorySwapBytes === 2 * (limits.memoryBytes ?? 0)
  return limits[name] !== null && !implied
}

function isControlled(cgroups: readonly SessionCgroup[], name: LimitName): boolean {
  return cgroups.some((cgroup) => cgroup.controllers.some((one) => rows[name].controllers.includes(one)))
}

function cannotLimit(flag: string, reason: string): EnvironmentError {
  return new EnvironmentError('ERR_CGROUP', `Cannot enforce limit "${flag}": ${reason}`, {
    hints: [
      '`tsbuild doctor` says what this machine can limit, and how to have more.',
      'Without the flag the build runs without this limit.',
    ],
  })
}

/** A limit that ended a process. */
export interface ExceededLimit {
  readonly resource: Exceeded['resource']
  /** Bytes, or a number of processes; null where it is not one of ours. */
  readonly amount: number | null
  /** Whose it is: that of each process, of all together as asked for or as set without a word, or of something above. */
  readonly owner: 'process' | 'build' | 'default' | 'machine'
}

/** Says which limit the helper means. */
export function limitOf(
  { resource, owner }: Exceeded,
  { limits, processLimits, defaults }: WantedLimits & { readonly defaults: Limits },
): ExceededLimit {
  const name = resource === 'memory' ? 'memoryBytes' : 'pids'
  if (owner === 'run') return { resource, amount: processLimits[name], owner: 'process' }
  if (limits[name] !== null) return { resource, amount: limits[name], owner: 'build' }
  if (defaults[name] !== null) return { resource, amount: defaults[name], owner: 'default' }
  return { resource, amount: null, owner: 'machine' }
}
