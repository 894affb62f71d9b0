export { storeOptions, temporaryDirectory, temporaryStore } from './temporary-store.ts'
