export { cacheName } from './cache-name.ts'
export type { BlobOfLayer, BuildkitPart } from './index-format/exporter.ts'
export type { CacheIndex, IndexedStep } from './index-format/types.ts'
export type { InlineLayer } from './inline/write-inline.ts'
export { inlineCacheMembers } from './inline/write-inline.ts'
export { cacheOpeners } from './openers.ts'
export { createServerAnswers, type ServerAnswers } from './server/server-answers.ts'
export { refuseTokenInClear } from './server/token-in-clear.ts'
export type {
  Caches,
  CachesOptions,
  Exports,
  ExportsOptions,
  ExportTarget,
  SolvedLayer,
} from './session/index.ts'
export { keysOf, openCaches, openExports } from './session/index.ts'
export type {
  BuildkitFacts,
  CacheExporter,
  CacheImporter,
  CacheLayerOptions,
  CacheOpeners,
  CacheSource,
  CacheTarget,
  CacheTargetCommon,
  CiIdentity,
  ExportableBlob,
  ExportedStep,
  ExportSummary,
  ExportTools,
  FinishedBuild,
  FoundRecord,
  IndexedResult,
  OpenTools,
  ServerKeys,
  ServerPlace,
} from './types.ts'
