export { inlineCacheMember, parseInlineCache, writeInlineCache } from './inline.ts'
export type { CacheManifest, CacheManifestForm } from './manifest.ts'
export { readCacheManifest, writeCacheManifest } from './manifest.ts'
export type { ParsedCacheConfig } from './parse-config.ts'
export { parseCacheConfig } from './parse-config.ts'
export type {
  BuildkitRecord,
  CacheConfig,
  CacheLayer,
  ChainedResult,
  RecordLink,
  RecordResult,
} from './types.ts'
export { cacheConfigType, maxBuildkitDocumentBytes } from './types.ts'
export type { WrittenCacheConfig } from './write-config.ts'
export { writeCacheConfig } from './write-config.ts'
