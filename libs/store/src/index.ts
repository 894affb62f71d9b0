export { onDisk } from './fs-failure.ts'
export { isSnapshotId } from './layout.ts'
export { openStore } from './open-store.ts'
export type {
  BlobStore,
  CacheMount,
  CacheMountName,
  CacheMountRequest,
  CacheMountStore,
  DraftCommitOptions,
  FailureStore,
  FetchedSource,
  Ingest,
  KeptFailure,
  LayerInfo,
  LocalImages,
  LockOptions,
  Locks,
  NamedImage,
  RecordStore,
  RecordWrite,
  SnapshotDraft,
  SnapshotId,
  SnapshotStore,
  SourceDraft,
  SourceStore,
  Store,
  StoreOptions,
} from './types.ts'
