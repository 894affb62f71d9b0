export type {
  Caches,
  CachesOptions,
  Exports,
  ExportsOptions,
  ExportTarget,
  SolvedLayer,
} from './session/index.ts'
export { openCaches, openExports } from './session/index.ts'
export type {
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
