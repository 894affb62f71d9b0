export type * from './types.ts'
export { historyFormat } from './types.ts'
