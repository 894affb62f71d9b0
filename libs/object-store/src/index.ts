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
