export type { Executor, ExecutorOptions, Process } from './executor.ts'
export { createExecutor, noLimits } from './executor.ts'
export { hostsFor, resolvConfFor } from './resolv-conf.ts'
