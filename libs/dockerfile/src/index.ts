export type * from './instruction.ts'
export type * from './mount.ts'
