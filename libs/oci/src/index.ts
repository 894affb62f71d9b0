export type {
  Descriptor,
  Healthcheck,
  HistoryEntry,
  ImageConfig,
  Index,
  Manifest,
  Platform,
  RuntimeConfig,
} from './types.ts'
