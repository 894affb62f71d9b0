export { type FsStoreOptions, openFsStore } from './fs/open-fs-store.ts'
export { isObjectKey, parseObjectKey, parseObjectPrefix } from './object-key.ts'
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
export { maxCasBytes } from './types.ts'
