export type { Bind, Executor, ExecutorOptions, Process } from './executor.ts'
export { createExecutor } from './executor.ts'
export { hostsFor, resolvConfFor } from './resolv-conf.ts'
