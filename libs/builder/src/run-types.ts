import type { SourceRange } from '@tsbuild/errors'
import type { Entitlement, Ulimit } from '@tsbuild/graph'
import type { Port, ProcessOptions } from '@tsbuild/native'
import type { BuildOptions } from './types.ts'

/** Limits of steps; what is undefined is not limited, except for the defaults of docs/reference/limits.md. */
export interface StepLimits {
  readonly memoryBytes?: number | undefined
  /** Memory and swap together. */
  readonly memorySwapBytes?: number | undefined
  readonly cpuShares?: number | undefined
  readonly cpuPeriodMicros?: number | undefined
  readonly cpuQuotaMicros?: number | undefined
  /** `0-3,5` */
  readonly cpusetCpus?: string | undefined
  readonly cpusetMems?: string | undefined
  readonly pids?: number | undefined
  /** Block I/O, 10 to 1000. */
  readonly ioWeight?: number | undefined
}

/** `tsbuild run`. */
export interface RunImageOptions {
  readonly image: string
  /** Replaces the image's CMD. */
  readonly args?: readonly string[] | undefined
  /** Replaces the image's ENTRYPOINT. */
  readonly entrypoint?: readonly string[] | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly user?: string | undefined
  readonly workdir?: string | undefined
  /** `default` is a private network that reaches the outside. */
  readonly network?: 'default' | 'none' | 'host' | undefined
  readonly hostname?: string | undefined
  readonly addHosts?: readonly string[] | undefined
  /** `-v`: directories and files of the machine. */
  readonly volumes?: readonly Volume[] | undefined
  /** `-p` */
  readonly ports?: readonly Port[] | undefined
  readonly limits?: StepLimits | undefined
  readonly ulimits?: readonly Ulimit[] | undefined
  readonly shmSizeBytes?: number | undefined
  /** The program cannot write to the image's files. */
  readonly readOnly?: boolean | undefined
  /** A pseudo-terminal; descriptor 0 of `stdio` is a terminal, or null. */
  readonly terminal?: boolean | undefined
  /** `TERM` where neither the image nor `env` sets it; default `xterm`. */
  readonly term?: string | undefined
  readonly noNewPrivileges?: boolean | undefined
  /** See `ProcessOptions` of `@tsbuild/native`. */
  readonly signals?: ProcessOptions['signals']
  /** What the user should know. */
  readonly onNotice?: ((message: string) => void) | undefined
  readonly platform?: string | undefined
  readonly allow?: readonly Entitlement[] | undefined
  /** File descriptors of this process that become the program's; default 0, 1 and 2. */
  readonly stdio?: readonly [stdin: number | null, stdout: number, stderr: number] | undefined
  readonly signal?: AbortSignal | undefined
}

/** `-v SOURCE:TARGET[:ro]`. Absolute paths. */
export interface Volume {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

/** A step that failed and is kept. */
export interface FailedStep {
  /** Of its build. */
  readonly ref: string
  /** Unix ms. */
  readonly at: number
  /** `[build 2/4] RUN make` */
  readonly name: string
  readonly source: SourceRange | null
  /** Of the error. */
  readonly code: string
  /** Null where its process did not come to its end. */
  readonly exitCode: number | null
}

/** `tsbuild shell`: where a step failed. */
export interface ShellOptions extends Pick<BuildOptions, 'secrets' | 'ssh' | 'allow'> {
  /** Of the build, or the beginning of it; default the last one that failed. */
  readonly ref?: string | undefined
  /** Before the step, or with what it had written when it failed. Default `after`. */
  readonly when?: 'before' | 'after' | undefined
  /** Default: the program of the step's SHELL, without a command. */
  readonly args?: readonly string[] | undefined
  readonly terminal?: boolean | undefined
  readonly stdio?: RunImageOptions['stdio']
  readonly signals?: RunImageOptions['signals']
  /** Called with the step before its shell starts. */
  readonly onOpen?: ((step: FailedStep) => void) | undefined
  /** What the user should know: secrets that the step had and the shell does not, what is waited for. */
  readonly onNotice?: ((message: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** `tsbuild bootstrap`. */
export interface BootstrapOptions {
  /** `debian:bookworm` and the like. */
  readonly image: string
  /** Added to mmdebstrap's own choice. */
  readonly packages?: readonly string[] | undefined
  /** mmdebstrap's variant; default `minbase`. */
  readonly variant?: 'minbase' | 'apt' | 'essential' | 'standard' | undefined
  /** Default the machine's own; of another one the packages' scripts run through an interpreter. */
  readonly platform?: string | undefined
  /** Makes the image again although it is there. */
  readonly force?: boolean | undefined
  /** Progress text. */
  readonly onLog?: ((text: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}
