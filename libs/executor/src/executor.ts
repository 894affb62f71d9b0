import { readFileSync } from 'node:fs'
import type { Finishing, Native, Root, RunOutput, Staged } from '@tsbuild/native'
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
  readonly hostname: string
  readonly extraHosts: readonly { readonly name: string; readonly ip: string }[]
  /** Files of the host that it sees, read only; parents first. */
  readonly binds: readonly Bind[]
}

/** A file or directory of the host in a process's file system. Both paths are absolute. */
export interface Bind {
  readonly source: string
  readonly target: string
}

/** Runs processes. */
export interface Executor {
  /** Runs a process to the end of everything it started. A non-zero exit code is a result, not an error. */
  run(process: Process, output: RunOutput, options: Finishing): Staged<'run'>
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
  /** Where the host's resolver is configured; default `/etc/resolv.conf`. */
  readonly resolvConfPath?: string | undefined
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
        argv: step.args,
        env: [...without(options.proxyEnv, step.env), ...step.env],
        cwd: step.cwd,
        user: step.user,
        hostname: step.hostname,
        network,
        hosts: hostsFor(step.hostname, step.extraHosts),
        resolvConf: resolvConfFor(network, hostResolvConf(options.resolvConfPath ?? '/etc/resolv.conf')),
        mounts: step.binds.map((bind) => ({ kind: 'bind', ...bind, readonly: true }) as const),
        trustCa,
        cgroupParent: null,
        id: options.randomId(),
      } as const
      return options.native.run(request, output, finishing)
    },
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
