export { isSnapshotId } from './layout.ts'
export { openStore } from './open-store.ts'
export type {
  BlobStore,
  DraftCommitOptions,
  Ingest,
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
  Store,
  StoreOptions,
} from './types.ts'
