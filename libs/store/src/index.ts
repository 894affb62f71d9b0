export { onDisk } from './fs-failure.ts'
export type { CacheMountPaths, FailurePaths, SnapshotPaths, SourceId, SourcePaths } from './layout.ts'
export { isCacheMountNumber, isFailureRef, isSnapshotId, isSourceId, Layout, layoutVersion } from './layout.ts'
export { parseImageList } from './local-images.ts'
export { openStore } from './open-store.ts'
export type { Sealed } from './seal.ts'
export { unseal } from './seal.ts'
export { isSessionAlive } from './session.ts'
export { parseLayerInfo } from './snapshot-store.ts'
export { parseSourcePointer } from './source-store.ts'
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
  Removal,
  SnapshotDraft,
  SnapshotId,
  SnapshotStore,
  SourceDraft,
  SourceStore,
  Store,
  StoreEntry,
  StoreEntryKind,
  StoreOptions,
  StoreSpace,
} from './types.ts'
