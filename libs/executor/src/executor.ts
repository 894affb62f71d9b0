import { readFileSync } from 'node:fs'
import type { Entitlement } from '@tsbuild/graph'
import type { Finishing, Limits, Mount, Native, Port, Root, RunOutput, Staged, Ulimit } from '@tsbuild/native'
import { hostsFor, resolvConfFor } from './resolv-conf.ts'

/** One process in a snapshot. */
export interface Process {
  readonly root: Root
  readonly args: readonly string[]
  /** `NAME=value`. */
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: string
  readonly network: 'default' | 'none' | 'host'
  readonly security: 'sandbox' | 'insecure'
  readonly hostname: string
  readonly extraHosts: readonly { readonly name: string; readonly ip: string }[]
  /** Parents first. */
  readonly mounts: readonly Mount[]
  readonly ulimits: readonly Ulimit[]
  /** Of `/dev/shm`; null is 64 MiB. */
  readonly shmSizeBytes: number | null
  /** The root file system cannot be written to. */
  readonly readOnly: boolean
  /** See {@link Native.run}. */
  readonly terminal: boolean
}

/** Runs processes in surroundings of their own: limits, and a private network that is made when the first one needs it. */
export interface Executor {
  /** Runs a process to the end of everything it started. A non-zero exit code is a result, not an error. */
  run(process: Process, output: RunOutput, options: Finishing): Staged<'run'>
  /** Ends the surroundings; nothing runs any more. */
  close(): Promise<void>
}

/** See {@link createExecutor}. */
export interface ExecutorOptions {
  readonly native: Native
  /** 32 lowercase hex digits, different at each call. */
  readonly randomId: () => string
  /** PEM certificates trusted while a process runs. */
  readonly trustCa: readonly string[]
  /** Proxy variables for every process that does not set them itself; in no key and no image. */
  readonly proxyEnv: readonly string[]
  /** What processes may ask for. */
  readonly allow: readonly Entitlement[]
  /** Of all processes together, and of each one. */
  readonly limits: Limits
  readonly processLimits: Limits
  /** Relative to the hierarchies' roots. */
  readonly cgroupParent: string | undefined
  readonly security: 'sandbox' | 'minimal'
  readonly noNewPrivileges: boolean
  readonly userns: 'auto' | undefined
  /** Ports of the machine that lead to ports of the processes. */
  readonly ports: readonly Port[]
  /** Called with what the user should know and does not stop the build: once for each. */
  readonly onNotice: (rule: string, message: string) => void
  /** Where the host's resolver is configured; default `/etc/resolv.conf`. */
  readonly resolvConfPath?: string | undefined
}

/** No limit of any kind. */
export const noLimits: Limits = {
  memoryBytes: null,
  memorySwapBytes: null,
  cpuShares: null,
  cpuPeriodMicros: null,
  cpuQuotaMicros: null,
  cpusetCpus: null,
  cpusetMems: null,
  pids: null,
  ioWeight: null,
}

/** Creates an executor. The default network is the host's until a private one is built (docs/adr/0007). */
export function createExecutor(options: ExecutorOptions): Executor {
  const trustCa =
    options.trustCa.length === 0 ? null : `${options.trustCa.map((pem) => pem.trim()).join('\n')}\n`
  return {
    run(step, output, finishing) {
      const network = step.network === 'none' ? 'none' : 'host'
      const request = {
        root: step.root,
        readonly: step.readOnly,
        argv: step.args,
        env: [...without(options.proxyEnv, step.env), ...step.env],
        cwd: step.cwd,
        user: step.user,
        hostname: step.hostname,
        network,
        hosts: hostsFor(step.hostname, step.extraHosts),
        resolvConf: resolvConfFor(network, hostResolvConf(options.resolvConfPath ?? '/etc/resolv.conf')),
        mounts: step.mounts,
        shmSizeBytes: step.shmSizeBytes,
        ulimits: step.ulimits,
        security: step.security === 'insecure' ? 'insecure' : options.security,
        noNewPrivileges: options.noNewPrivileges,
        userNamespace: null,
        trustCa,
        terminal: step.terminal,
        cgroups: [],
        limits: options.processLimits,
        stopGraceMs: 500,
        id: options.randomId(),
      } as const
      return options.native.run(request, output, finishing)
    },
    async close() {},
  }
}

/** A name that is there twice means another value to each program: the step's own variable is the only one. */
function without(defaults: readonly string[], own: readonly string[]): readonly string[] {
  const nameOf = (entry: string) => entry.slice(0, entry.indexOf('='))
  const names = new Set(own.map(nameOf))
  return defaults.filter((entry) => !names.has(nameOf(entry)))
}

function hostResolvConf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // A host without a resolver has nothing to give; the step sees the same.
    return ''
  }
}
