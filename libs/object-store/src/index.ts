export { type FsStoreOptions, openFsStore } from './fs/open-fs-store.ts'
export { type OciStoreOptions, openOciStore } from './oci/open-oci-store.ts'
export type {
  ByteRange,
  ObjectBody,
  ObjectInfo,
  ObjectKey,
  ObjectSource,
  ObjectStore,
  OpenObjectStore,
  PutExpectation,
  StoreCallOptions,
} from './types.ts'
