export { createOps } from './create-ops.ts'
export type { OpResult, OpsOptions, SshSocket } from './types.ts'
