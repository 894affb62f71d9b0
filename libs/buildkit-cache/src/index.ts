export type { ContentDigests, ReadContent } from './content/content-digest.ts'
export { contentDigests } from './content/content-digest.ts'
export { contentTree } from './content/content-tree.ts'
export type { ContentEntry } from './content/entry.ts'
export { parseFileList } from './content/entry.ts'
export type { ContentOf, FindTools, FoundStep, StepSearch } from './find-steps.ts'
export { searchSteps } from './find-steps.ts'
export { inlineCacheMember, parseInlineCache, writeInlineCache } from './inline.ts'
export type { Dialect } from './keys/dialect.ts'
export type { VertexOf } from './keys/keyed-graph.ts'
export type { ContentSelector } from './keys/node.ts'
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
export type { StepLayers, WriteTools } from './write-steps.ts'
export { writeSteps } from './write-steps.ts'
