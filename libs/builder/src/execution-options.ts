import { totalmem } from 'node:os'
import type { ExecutorOptions } from '@tsbuild/executor'
import { type Limits, noLimits } from '@tsbuild/native'
import type { StepLimits } from './run-types.ts'
import type { BuildOptions } from './types.ts'

/** The part of a caller's options that says how processes run. */
export type ExecutionOptions = Pick<
  BuildOptions,
  | 'network'
  | 'allow'
  | 'limits'
  | 'stepLimits'
  | 'cgroupParent'
  | 'security'
  | 'noNewPrivileges'
  | 'userns'
  | 'stepTimeoutMs'
>

/** Says it in the executor's words, with the defaults of docs/reference/limits.md. */
export function executionOptions(options: ExecutionOptions) {
  const { allow = [], network } = options
  return {
    // The caller's own word: a Dockerfile cannot say it for the whole build.
    allow: network === 'host' ? [...allow, 'network.host'] : allow,
    limits: limitsOf(options.limits),
    processLimits: limitsOf(options.stepLimits),
    defaultLimits: defaultLimits(availableMemory()),
    processTimeoutMs: options.stepTimeoutMs,
    cgroupParent: options.cgroupParent,
    security: options.security ?? 'sandbox',
    noNewPrivileges: options.noNewPrivileges === true,
    userns: options.userns,
  } as const satisfies Partial<ExecutorOptions>
}

/** Null where nothing is said. */
function limitsOf(given: StepLimits = {}): Limits {
  const said = Object.entries(given).filter(([, limit]) => limit !== undefined)
  return { ...noLimits, ...Object.fromEntries(said) }
}

/** More processes than any build starts at once, and fewer than a machine has. */
const defaultPids = 16_384

/** What the machine itself, and this process, shall always have. */
const reservedBytes = 512 * 1024 ** 2
const reservedShare = 0.05

/**
 * What steps may use where nothing is said: of the memory all but a reserve, which is half of it on a very small machine.
 *
 * @param memoryBytes what there is
 * @see spec/security.md 4
 */
export function defaultLimits(memoryBytes: number): Limits {
  const reserve = Math.max(reservedBytes, Math.ceil(memoryBytes * reservedShare))
  const memory = memoryBytes - Math.min(reserve, Math.ceil(memoryBytes / 2))
  return { ...noLimits, memoryBytes: memory, pids: defaultPids }
}

/** Of the machine, or of the container that this process is in. */
function availableMemory(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}
