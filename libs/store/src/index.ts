export { onDisk, withStoreSpace } from './fs-failure.ts'
export type { CacheMountPaths, FailurePaths, SnapshotPaths, SourceId, SourcePaths } from './layout.ts'
export { isBuildRef, isCacheMountNumber, isSnapshotId, isSourceId, Layout, layoutVersion } from './layout.ts'
export { parseImageList } from './local-images.ts'
export { openStore } from './open-store.ts'
export type { Sealed } from './seal.ts'
export { unseal } from './seal.ts'
export { isSessionAlive } from './session.ts'
export { parseLayerInfo } from './snapshot-store.ts'
export { parseSourcePointer } from './source-store.ts'
export type {
  BlobStore,
  BuildStore,
  CacheMount,
  CacheMountName,
  CacheMountRequest,
  CacheMountStore,
  DescribeRecord,
  DraftCommitOptions,
  Eviction,
  FailureStore,
  FetchedSource,
  HeldBuild,
  IndexedRecord,
  Ingest,
  KeptFailure,
  LayerInfo,
  LocalImages,
  LockOptions,
  Locks,
  NamedImage,
  OpenBuild,
  RecordStore,
  RecordWrite,
  Removal,
  SnapshotDraft,
  SnapshotId,
  SnapshotStore,
  SourceDraft,
  SourceStore,
  StepIndex,
  Store,
  StoredBuild,
  StoreEntry,
  StoreEntryKind,
  StoreOptions,
  StoreSpace,
} from './types.ts'
