export { isBuildRunning } from './build-store.ts'
export { replaceBy, syncDirectory } from './durable-files.ts'
export { diskFailure, errnoOf, onDisk, unlessErrno, withStoreSpace } from './fs-failure.ts'
export { formatOfForm, isSameForm, parseLayerInfo, parseStoredLayer, storedLayerJson } from './layer-info.ts'
export type { CacheMountPaths, FailurePaths, SnapshotPaths, SourceId, SourcePaths } from './layout.ts'
export { isBuildRef, isCacheMountNumber, isSnapshotId, isSourceId, Layout, layoutVersion } from './layout.ts'
export { parseImageEntries, salvageImageList } from './local-images.ts'
export { FileLocks } from './locks.ts'
export { makeDirectories } from './make-directories.ts'
export { openStore } from './open-store.ts'
export { outputFailure } from './output-failure.ts'
export { type HeldRange, isRangeHeld, rangeOf, tryRangeLock } from './range-lock.ts'
export type { Sealed } from './seal.ts'
export { seal, unseal, unsealedText } from './seal.ts'
export { isSessionAlive } from './session.ts'
export type {
  DraftCommitOptions,
  LayerInfo,
  SnapshotDraft,
  SnapshotId,
  SnapshotStore,
  StoredForm,
  StoredLayer,
} from './snapshot-types.ts'
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
  FailureStore,
  FetchedSource,
  HeldBuild,
  Ingest,
  KeptFailure,
  LocalImages,
  LockHolder,
  LockOptions,
  Locks,
  NamedImage,
  OpenBuild,
  RecordStore,
  RecordWrite,
  Removal,
  SourceDraft,
  SourceStore,
  Store,
  StoredBuild,
  StoreEntry,
  StoreEntryKind,
  StoreOptions,
  StoreSpace,
} from './types.ts'
