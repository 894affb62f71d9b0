import { UserError } from '@tsbuild/errors'
import { type Entitlement, entitlementsOf } from '@tsbuild/graph'
import {
  type Exceeded,
  type IdMap,
  type Limits,
  type Mount,
  type Native,
  noLimits,
  type Port,
  type ProcessOptions,
  type Root,
  type RunOutput,
  type RunRequest,
  type Staged,
  type Ulimit,
} from '@tsbuild/native'
import { type ExceededLimit, limitOf } from './limits.ts'
import { hostsFor, type ResolverFiles, resolvConfFor, usualResolver } from './resolv-conf.ts'
import { createSurroundings, type Place, untilAborted } from './session.ts'
import { type SubordinateFiles, userNamespaceMap } from './user-namespace.ts'
import { watch } from './watch.ts'

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
  /** Between SIGTERM and SIGKILL; default 500. */
  readonly stopGraceMs?: number | undefined
}

/** Runs processes in surroundings of their own: limits, and a private network that is made when the first one needs it. */
export interface Executor {
  /**
   * Runs a process to the end of everything it started. A non-zero exit code is a result, not an error.
   *
   * @throws {UserError} (all promises) `ERR_ENTITLEMENT` for what is not allowed, `ERR_TIMEOUT`, `ERR_CANCELLED`
   * @throws {EnvironmentError} `ERR_CGROUP`, `ERR_SESSION_LOST`, and what the helper reports
   */
  run(process: Process, output: RunOutput, options: ProcessOptions): Staged<'run'>
  /** Which limit ended a process. */
  limitOf(exceeded: Exceeded): ExceededLimit
  /** Ends the surroundings, within a second; nothing runs any more. Never rejects. */
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
  /** Of all processes together where `limits` says nothing, as far as the machine can. */
  readonly defaultLimits?: Limits | undefined
  /** How long one process may take. */
  readonly processTimeoutMs?: number | undefined
  /** Relative to the hierarchies' roots. */
  readonly cgroupParent: string | undefined
  readonly security: 'sandbox' | 'minimal'
  readonly noNewPrivileges: boolean
  /** `auto`: as root, processes get a user namespace. */
  readonly userns: 'auto' | undefined
  /** Ports of the machine that lead to ports of the processes. */
  readonly ports: readonly Port[]
  /** Called with what the user should know and does not stop the build: once for each. */
  readonly onNotice: (rule: string, message: string) => void
  /** Where the host's resolver is configured, and subordinate ids are granted; default the files of `/etc`. */
  readonly resolver?: ResolverFiles | undefined
  readonly subordinateIds?: SubordinateFiles | undefined
}

/**
 * Creates an executor; nothing is started before the first process. @see docs/adr/0013
 */
export function createExecutor(options: ExecutorOptions): Executor {
  const { limits, processLimits, defaultLimits: defaults = noLimits } = options
  const surroundings = createSurroundings({ ...options, defaults })
  const request = requests(options)
  const start = async (step: Process, output: RunOutput, finishing: ProcessOptions) => {
    assertAllowed(step, options.allow)
    const place = await untilAborted(() => surroundings.enter(step.network), finishing.signal)
    const { network } = place
    const namespaces = network.kind === 'session' ? network.namespaces : undefined
    const { lost } = surroundings
    const { processTimeoutMs: timeoutMs } = options
    // A wall that is weaker than it should be is nothing to keep silent about.
    const onWarning = finishing.onWarning ?? ((message: string) => options.onNotice('Sandbox', message))
    return watch({ signal: finishing.signal, lost, timeoutMs, command: shortened(step.args) }, (signal) =>
      options.native.run(request(step, place), output, { ...finishing, signal, namespaces, onWarning }),
    )
  }
  return {
    run(step, output, finishing) {
      const started = start(step, output, finishing)
      const outcome = started.then((running) => running.outcome)
      const content = started.then((running) => running.content)
      const finished = started.then((running) => running.finished)
      // All reject when the process cannot be started, and some may have no reader.
      for (const promise of [outcome, content, finished]) promise.catch(() => {})
      return { outcome, content, finished }
    },
    limitOf: (exceeded) => limitOf(exceeded, { limits, processLimits, defaults }),
    close: () => surroundings.end(),
  }
}

/**
 * The one place where it counts: whatever wants a process, a step, a shell or an image that is run, comes by here.
 * @throws {UserError} `ERR_ENTITLEMENT`
 */
function assertAllowed(step: Process, allow: readonly Entitlement[]): void {
  const refused = entitlementsOf(step).find((entitlement) => !allow.includes(entitlement))
  if (refused === undefined) return
  throw new UserError('ERR_ENTITLEMENT', `Cannot use entitlement "${refused}": it is not allowed`, {
    hints: [`\`--allow ${refused}\` allows it to every step of the build. It is a way out of the sandbox.`],
  })
}

/** Makes the requests of processes. */
function requests(options: ExecutorOptions) {
  const trustCa =
    options.trustCa.length === 0 ? null : `${options.trustCa.map((pem) => pem.trim()).join('\n')}\n`
  const userNamespace = userNamespaceOf(options)
  return (step: Process, place: Place): Omit<RunRequest, 'op' | 'stdin' | 'finish'> => ({
    root: step.root,
    readonly: step.readOnly,
    argv: step.args,
    env: [...without(options.proxyEnv, step.env), ...step.env],
    cwd: step.cwd,
    user: step.user,
    hostname: step.hostname,
    network: place.network.kind,
    hosts: hostsFor(step.hostname, step.extraHosts),
    resolvConf: resolvConfFor(place.network, options.resolver ?? usualResolver),
    mounts: step.mounts,
    shmSizeBytes: step.shmSizeBytes,
    ulimits: step.ulimits,
    security: step.security === 'insecure' ? 'insecure' : options.security,
    noNewPrivileges: options.noNewPrivileges,
    userNamespace,
    trustCa,
    terminal: step.terminal,
    cgroups: place.cgroups,
    limits: options.processLimits,
    stopGraceMs: step.stopGraceMs ?? 500,
    id: options.randomId(),
  })
}

/** An ordinary user's processes are in one anyway. */
function userNamespaceOf({ native, userns, subordinateIds }: ExecutorOptions): IdMap | null {
  if (userns === undefined || native.rootless) return null
  return userNamespaceMap(subordinateIds ?? { subuid: '/etc/subuid', subgid: '/etc/subgid' })
}

/** A name that is there twice means another value to each program: the step's own variable is the only one. */
function without(defaults: readonly string[], own: readonly string[]): readonly string[] {
  const nameOf = (entry: string) => entry.slice(0, entry.indexOf('='))
  const names = new Set(own.map(nameOf))
  return defaults.filter((entry) => !names.has(nameOf(entry)))
}

/** A command in a message. */
function shortened(args: readonly string[]): string {
  const command = args.join(' ')
  return command.length > 300 ? `${command.slice(0, 300)}…` : command
}
