export { createOps } from './create-ops.ts'
export type { OpResult, OpsOptions } from './types.ts'
