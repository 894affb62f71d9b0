export { parseImageConfig, serializeImageConfig } from './image-config.ts'
export type { ManifestOrIndex } from './manifest.ts'
export {
  parseIndex,
  parseManifest,
  parseManifestOrIndex,
  serializeIndex,
  serializeManifest,
} from './manifest.ts'
export { acceptedManifestTypes, isIndexType, isManifestType, mediaTypes } from './media-types.ts'
export {
  compatiblePlatforms,
  formatPlatform,
  hostPlatform,
  listPlatforms,
  normalizePlatform,
  parsePlatform,
  samePlatform,
  selectPlatform,
} from './platform.ts'
export { familiarName, formatReference, parseReference, withDefaultTag } from './reference.ts'
export type {
  ArchiveImage,
  Descriptor,
  Healthcheck,
  HistoryEntry,
  ImageConfig,
  ImageReference,
  Index,
  Manifest,
  Platform,
  RuntimeConfig,
} from './types.ts'
