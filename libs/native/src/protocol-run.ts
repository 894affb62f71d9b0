/** What the messages of ./protocol.ts say about the process of a step, and about what the steps of one build share. */

import type { Finish, IdMap, Root } from './protocol.ts'

/** A mount of a step. */
export type Mount =
  | {
      readonly kind: 'bind'
      /** Absolute path on the host. */
      readonly source: string
      /** A path in `source`, whose symlinks lead within it; empty is `source` itself. */
      readonly inside: string
      readonly target: string
      readonly readonly: boolean
    }
  | {
      readonly kind: 'snapshot'
      /** With `upper` the process may write, and the writes go there. */
      readonly root: Root
      readonly inside: string
      readonly target: string
    }
  | {
      readonly kind: 'tmpfs'
      readonly target: string
      readonly sizeBytes: number | null
      readonly readonly: boolean
    }
  | {
      /** A file in memory, readable only. */
      readonly kind: 'secret'
      readonly target: string
      /** base64 */
      readonly data: string
      readonly mode: number
      readonly uid: number
      readonly gid: number
    }
  | {
      /** A listening socket of the host, this run's alone: it is given the mode and owner. */
      readonly kind: 'socket'
      readonly source: string
      readonly target: string
      readonly mode: number
      readonly uid: number
      readonly gid: number
    }

/** A limit of `setrlimit(2)`, in the unit of the resource; null is unlimited. */
export interface Ulimit {
  /** As docker names it: `nofile`. */
  readonly name: string
  readonly soft: number | null
  readonly hard: number | null
}

/** Limits of a cgroup, in the units of docker's flags; null is no limit. */
export interface Limits {
  readonly memoryBytes: number | null
  /** Memory and swap together. */
  readonly memorySwapBytes: number | null
  readonly cpuShares: number | null
  readonly cpuPeriodMicros: number | null
  readonly cpuQuotaMicros: number | null
  readonly cpusetCpus: string | null
  readonly cpusetMems: string | null
  readonly pids: number | null
  /** Block I/O, 10 to 1000. */
  readonly ioWeight: number | null
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

/** A cgroup directory of a session. */
export interface SessionCgroup {
  readonly version: 1 | 2
  /** Empty for a hierarchy that only kills and counts. */
  readonly controllers: readonly string[]
  readonly path: string
}

/** A private network that reaches the outside through a program in user space. */
export interface SessionNetwork {
  readonly tool: 'pasta' | 'slirp4netns'
  readonly ports: readonly Port[]
}

/** A port of the host that leads to one of the runs. */
export interface Port {
  /** Of the host. */
  readonly address: string
  readonly host: number
  readonly inside: number
  readonly protocol: 'tcp' | 'udp'
}

/** What the runs of one build share. */
export interface SessionRequest {
  readonly op: 'session'
  readonly id: string
  readonly cgroupParent: string | null
  readonly limits: Limits
  readonly network: SessionNetwork | null
}

/** The process of a step. */
export interface RunRequest {
  readonly op: 'run'
  readonly root: Root
  /** The root file system, mounts excepted. */
  readonly readonly: boolean
  readonly argv: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: string
  readonly hostname: string
  /** `session`: the namespace on fd 7. */
  readonly network: 'none' | 'host' | 'session'
  readonly hosts: string
  readonly resolvConf: string
  readonly mounts: readonly Mount[]
  readonly shmSizeBytes: number | null
  readonly ulimits: readonly Ulimit[]
  readonly security: 'sandbox' | 'minimal' | 'insecure'
  readonly noNewPrivileges: boolean
  /** As root only: the process's own user namespace, while files keep the ids of the image. */
  readonly userNamespace: IdMap | null
  readonly trustCa: string | null
  readonly stdin: boolean
  /** fd 5 is what is typed, fd 3 the screen. */
  readonly terminal: boolean
  /** Of the session; a child named `id` is made in each. */
  readonly cgroups: readonly SessionCgroup[]
  /** Of that child. */
  readonly limits: Limits
  /** Between SIGTERM and SIGKILL. */
  readonly stopGraceMs: number
  readonly id: string
  readonly finish: Finish | null
}
