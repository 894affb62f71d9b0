export type { SigningKey } from './types.ts'
