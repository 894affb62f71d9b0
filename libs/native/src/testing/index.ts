export type { FakeHelper } from './fake-helper.ts'
export { realHelper } from './real-helper.ts'
