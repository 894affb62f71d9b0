export { type OpenStoreUnderTest, runObjectStoreContract, type StoreUnderTest } from './contract.ts'
export { type MemoryStoreOptions, memoryStore } from './memory-store.ts'
