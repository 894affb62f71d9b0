export { answering, type FakeHelper, fakeHelper } from './fake-helper.ts'
export { realHelper } from './real-helper.ts'
