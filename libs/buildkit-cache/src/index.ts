export type { BuildkitRecord, CacheConfig, CacheLayer } from './types.ts'
export { cacheConfigType } from './types.ts'
