export { type FakeEngine, startFakeEngine } from './fake-engine.ts'
export { type TinyImage, tinyImage } from './tiny-image.ts'
