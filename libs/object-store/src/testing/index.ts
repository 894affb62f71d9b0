export {
  expectationOf,
  listAll,
  type OpenStoreUnderTest,
  put,
  read,
  runObjectStoreContract,
  type StoreUnderTest,
} from './contract.ts'
export { hostileKeys, keysInOrder } from './keys.ts'
export { type MemoryStoreOptions, memoryStore } from './memory-store.ts'
