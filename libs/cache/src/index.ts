export type { LocalCache } from './local-cache.ts'
export { createLocalCache } from './local-cache.ts'
export { decodeRecord, encodeRecord } from './record-codec.ts'
