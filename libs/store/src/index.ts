export { isBuildRunning } from './build-store.ts'
export { errnoOf, onDisk, withStoreSpace } from './fs-failure.ts'
export { formatOfForm, isSameForm, parseLayerInfo, parseStoredLayer, storedLayerJson } from './layer-info.ts'
export type { CacheMountPaths, FailurePaths, SnapshotPaths, SourceId, SourcePaths } from './layout.ts'
export { isBuildRef, isCacheMountNumber, isSnapshotId, isSourceId, Layout, layoutVersion } from './layout.ts'
export { parseImageEntries, salvageImageList } from './local-images.ts'
export { FileLocks } from './locks.ts'
export { openStore } from './open-store.ts'
export { type HeldRange, isRangeHeld, rangeOf, tryRangeLock } from './range-lock.ts'
export type { Sealed } from './seal.ts'
export { seal, unseal, unsealedText } from './seal.ts'
export { isSessionAlive } from './session.ts'
export { parseSourcePointer } from './source-store.ts'
export { isIndexFile } from './step-index.ts'
export type { DescribeRecord, Eviction, IndexedRecord, StepIndex } from './step-index-types.ts'
export type {
  BlobStore,
  BuildStore,
  CacheMount,
  CacheMountName,
  CacheMountRequest,
  CacheMountStore,
  DraftCommitOptions,
  FailureStore,
  FetchedSource,
  HeldBuild,
  Ingest,
  KeptFailure,
  LayerInfo,
  LocalImages,
  LockHolder,
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
  Store,
  StoredBuild,
  StoredForm,
  StoredLayer,
  StoreEntry,
  StoreEntryKind,
  StoreOptions,
  StoreSpace,
} from './types.ts'
