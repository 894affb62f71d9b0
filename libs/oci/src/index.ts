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
